#!/usr/bin/env bash
# make bundle: packs what a machine without Go and without a network needs into FOLDER and FOLDER.tar.gz: tools and tests as programs that
# hold libsegnas and the C++ library (glibc stays dynamic: plug-ins and libnvidia-ml are opened at run time), the plug-in's sources, and
# gpu-check.sh, which builds, checks and measures there.
#   tools/bundle/pack.sh BUILD            into BUILD/bundle; BUILD is CMake's build folder
#   tools/bundle/pack.sh BUILD aarch64    for such a machine, by Debian's cross compiler, into BUILD/aarch64/bundle; libsegnas and its headers besides
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath -m "${1:-build}")
cxx=g++ cmake=()
case ${2:-} in
  '') ;;
  aarch64)
    build=$build/aarch64 cxx=aarch64-linux-gnu-g++ cmake=(-DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake)
    export GOOS=linux GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
    ;;
  *) echo "pack.sh: $2 should be aarch64 or nothing" >&2; exit 2 ;;
esac
out=$build/bundle
for need in go cmake "$cxx" tar; do
  command -v "$need" >/dev/null || { echo "make bundle: there is no $need" >&2; exit 1; }
done
rm -rf "$out" "$out.tar.gz"
mkdir -p "$out/bin" "$out/src" "$out/peers"

# glibc apart, everything is inside. A program must not hand its own copy of the C++ library to a plug-in: go-nvml has everything exported, --exclude-libs takes that back. Its
# functions are bound when they are called, since without libnvidia-ml there are none. The C++ library's archive may want glibc 2.36 for a
# random_device that nobody here uses, and a static libgcc 2.35 to unwind; without either, 2.34 will do.
flags=(-trimpath -buildvcs=false)
linked() { echo "-ldflags=-s -w -linkmode=external -extldflags '-Wl,--exclude-libs,ALL -Wl,-z,lazy $1'"; }
linking=$(linked '-static-libstdc++ -Wl,--defsym=arc4random=0') # a name would fail the trial links by which Go finds out about -no-pie
echo "make bundle: tools and tests" >&2
go build "${flags[@]}" "$linking" -o "$out/bin/" ./tools/{search,train,ablate,profile,networks,eval,segment,submit,export,import,devices}
go build "${flags[@]}" "$linking" -o "$out/bin/segnas-peer" ./bench/peers/segnas
for package in gobind nas/supernet nas/run bench; do
  go test "${flags[@]}" "$linking" -c -o "$out/bin/$(basename "$package").test" "./$package"
done
go test "${flags[@]}" "$(linked '')" -c -o "$out/bin/driver.test" ./nas/nvml/driver
CGO_ENABLED=0 go test "${flags[@]}" -c -o "$out/bin/latency.test" ./nas/latency

echo "make bundle: opcheck" >&2
mkdir -p "$build"
{
  [ -f "$build/CMakeCache.txt" ] || cmake -S . -B "$build" $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE=Release "${cmake[@]}"
  cmake --build "$build" --parallel "${JOBS:-$(nproc)}" --target opcheck ${2:+segnas segnas_static}
  [ -z "${2:-}" ] || cmake --install "$build" --prefix "$out"
} >"$build/bundle.log" 2>&1 || { tail -n 30 "$build/bundle.log" >&2; exit 1; }
cp "$build/bin/opcheck" "$out/bin/"

# The plug-in's sources keep their places: cuda includes the library's headers by them.
sources() { git ls-files "$@" 2>/dev/null | grep . || find "$@" -type f; }
sources cuda csrc/include csrc/ops gobind/stamp.h | grep -E '^(cuda|csrc/include)/|^csrc/ops/[^/]*/[^/]*\.h$|^gobind/stamp\.h$' |
  tar -cf - -T - | tar -xf - -C "$out/src"
cp bench/peers/*.py "$out/peers/"
cp tools/bundle/{gpu-check.sh,build.sh,README.md} csrc/test/support.golden LICENSE "$out/"
git describe --always --dirty --abbrev=12 >"$out/COMMIT" 2>/dev/null || echo unknown >"$out/COMMIT"

tar -C "$(dirname "$out")" -czf "$out.tar.gz" "$(basename "$out")"
echo "make bundle: $out.tar.gz, $(du -h "$out.tar.gz" | cut -f 1); unpack it on the target and type ./gpu-check.sh${2:+ --cpu}" >&2
