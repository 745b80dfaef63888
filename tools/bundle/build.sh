#!/usr/bin/env bash
# Builds the CUDA plug-in of this bundle with CMake and nvcc, for the GPUs at hand, into bin/, where every program here finds it.
#   NVCC=PATH      nvcc, 12.0 or later; else the first on PATH, else the newest of /usr/local/cuda*
#   CUDA_ARCHS=LIST  such as "80 90a"; else the capabilities of the GPUs that nvidia-smi names, else all that nvcc offers
set -euo pipefail
cd "$(dirname "$0")"
fail() {
  echo "build.sh: $*" >&2
  exit 1
}
command -v cmake >/dev/null || fail "there is no cmake: install it, 3.21 or later"
command -v g++ >/dev/null || fail "there is no g++: install a C++20 compiler"
nvcc=${NVCC:-$(command -v nvcc || ls -d /usr/local/cuda*/bin/nvcc 2>/dev/null | tail -n 1)}
[ -n "$nvcc" ] || fail "there is no nvcc: install the CUDA toolkit, 12.0 or later, and put its bin folder on PATH"
archs=${CUDA_ARCHS:-}
if [ -z "$archs" ] && command -v nvidia-smi >/dev/null; then
  archs=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | grep -E '^[0-9]+\.[0-9]+$' | tr -d . | sed 's/^90$/90a/' | sort -u | tr '\n' ' ' || true)
fi
cmake -S src/cuda -B build -DCMAKE_BUILD_TYPE=Release -DSEGNAS_NVCC="$nvcc" -DSEGNAS_CUDA_ARCHS="$archs" -DSEGNAS_CUDA_LIBRARY_DIR="$PWD/bin"
cmake --build build --parallel "$(nproc)" --target segnas_cuda
