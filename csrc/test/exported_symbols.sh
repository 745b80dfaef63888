#!/usr/bin/env bash
# The shared library exports what segnas.h declares: nothing less, nothing more.
#   exported_symbols.sh NM LIBRARY HEADER
set -euo pipefail
nm=$1 library=$2 header=$3
exported=$("$nm" -D --defined-only --extern-only "$library" | awk '{print $3}' | sort -u)
declared=$(grep -oE '^SEGNAS_API [^(]*\(' "$header" | grep -oE 'segnas_[a-z0-9_]+\(' | tr -d '(' | sort -u)
if ! diff <(echo "$declared") <(echo "$exported"); then
  echo "exported_symbols: < declared in $header, > exported by $library" >&2
  exit 1
fi
echo "$(wc -l <<<"$exported") symbols, as declared"
