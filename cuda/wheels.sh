#!/usr/bin/env bash
# nvcc without a toolkit: installs the packages that NVIDIA publishes on the Python package index into a virtual environment, in the versions
# that CI compiles with, and prints the path of nvcc. Needs python3 with venv; about 300 MB. Runs once: a finished folder is used again.
#   NVCC=$(cuda/wheels.sh FOLDER) make cuda
set -euo pipefail
[ $# = 1 ] || { echo "usage: cuda/wheels.sh FOLDER" >&2; exit 2; }
folder=$1
packages=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85)

if ! grep -qsxF "${packages[*]}" "$folder/installed"; then
  python3 -m venv "$folder" >&2
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${packages[@]}" >&2
  echo "${packages[*]}" >"$folder/installed"
fi
nvcc=$(find "$(cd "$folder" && pwd)/lib" -path '*/nvidia/*/bin/nvcc' -print -quit)
[ -x "$nvcc" ] || { echo "cuda/wheels.sh: no nvcc in $folder after the installation" >&2; exit 1; }
echo "$nvcc"
