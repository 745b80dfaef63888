#!/usr/bin/env bash
# make bundle: packs what a machine without Go and without a network needs into FOLDER and FOLDER.tar.gz: tools and tests as programs that
# hold libsegnas and the C++ library (glibc stays dynamic: plug-ins and libnvidia-ml are opened at run time), the plug-in's sources, and
# gpu-check.sh, which builds, checks and measures there.
#   tools/bundle/pack.sh FOLDER
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-build/bundle}")
work=$(realpath -m build)/bundle-work
for need in go cmake g++ tar; do
  command -v "$need" >/dev/null || { echo "make bundle: there is no $need" >&2; exit 1; }
done
rm -rf "$out" "$out.tar.gz"
mkdir -p "$out/bin" "$out/src" "$out/peers"

# A program must not hand its own copy of the C++ library to a plug-in: go-nvml has everything exported, --exclude-libs takes that back. Its
# functions are bound when they are called, since without libnvidia-ml there are none.
static='-static-libstdc++ -static-libgcc'
flags=(-trimpath -buildvcs=false "-ldflags=-s -w -linkmode=external -extldflags '$static -Wl,--exclude-libs,ALL -Wl,-z,lazy'")
echo "make bundle: tools and tests" >&2
go build "${flags[@]}" -o "$out/bin/" ./tools/{search,train,profile,eval,segment,export,devices}
go build "${flags[@]}" -o "$out/bin/segnas-peer" ./bench/peers/segnas
for package in gobind nas/latency nas/supernet nas/run nas/nvml/driver bench; do
  go test "${flags[@]}" -c -o "$out/bin/$(basename "$package").test" "./$package"
done

echo "make bundle: opcheck" >&2
cmake -S . -B "$work" $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXE_LINKER_FLAGS="$static" >/dev/null
cmake --build "$work" --parallel "${JOBS:-$(nproc)}" --target opcheck >/dev/null
cp "$work/bin/opcheck" "$out/bin/"

# The plug-in's sources keep their places: cuda includes the library's headers by them.
sources() { git ls-files "$@" 2>/dev/null | grep . || find "$@" -type f; }
sources cuda csrc/include csrc/ops gobind/stamp.h | grep -E '^(cuda|csrc/include)/|^csrc/ops/[^/]*/[^/]*\.h$|^gobind/stamp\.h$' |
  tar -cf - -T - | tar -xf - -C "$out/src"
cp bench/peers/*.py "$out/peers/"
cp tools/bundle/{gpu-check.sh,build.sh,README.md} csrc/test/support.golden LICENSE "$out/"
git describe --always --dirty --abbrev=12 >"$out/COMMIT" 2>/dev/null || echo unknown >"$out/COMMIT"

tar -C "$(dirname "$out")" -czf "$out.tar.gz" "$(basename "$out")"
echo "make bundle: $out.tar.gz, $(du -h "$out.tar.gz" | cut -f 1); unpack it on the target and type ./gpu-check.sh" >&2
