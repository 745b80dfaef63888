#!/bin/sh
# Sets up the peers in .venv, builds our worker and runs bench.py with this script's arguments. make bench-peers calls it.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  echo "make bench-peers: $*" >&2
  exit 1
}

command -v go >/dev/null || fail "there is no go: segnas itself is one of the runtimes"
command -v python3 >/dev/null || fail "there is no python3: install Python 3.10 or later; the other runtimes come as its packages"
if [ ! -x .venv/bin/python ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 has no venv module: install it (Debian: python3-venv)"
  python3 -m venv .venv >/dev/null || fail "python3 cannot make a virtual environment in .venv"
fi

# One package after another, each once; .venv/peers.installed is the list of what is there.
touch .venv/peers.installed
grep -v '^#' bench/peers/requirements.txt | while read -r package; do
  if ! grep -qxF "$package" .venv/peers.installed; then
    echo "installing $package" >&2
    if .venv/bin/python -m pip install --quiet --disable-pip-version-check "$package" </dev/null >.venv/peers.log 2>&1; then
      echo "$package" >>.venv/peers.installed
    else
      echo "  failed: $(grep -v '^$' .venv/peers.log | tail -n 1)" >&2
    fi
  fi
done
.venv/bin/python -c 'import numpy, onnx' 2>/dev/null || fail "numpy and onnx are needed, and could not be installed: .venv/peers.log says why"

go build -o .venv/segnas-peer ./bench/peers/segnas
exec .venv/bin/python bench/peers/bench.py --segnas .venv/segnas-peer "$@"
