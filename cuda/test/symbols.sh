#!/usr/bin/env bash
# The plug-in exports its one entry and asks for nothing of the project's; nothing else of the project has a symbol of CUDA's in it.
#   symbols.sh NM PLUGIN [LIBRARY OR PROGRAM]...
set -euo pipefail
nm=$1 plugin=$2
shift 2

exported=$("$nm" -D --defined-only --extern-only "$plugin" | awk '{print $NF}')
[ "$exported" = segnas_backend_open ] || { echo "symbols: $plugin exports $exported; should be segnas_backend_open" >&2; exit 1; }
if "$nm" -D --undefined-only "$plugin" | grep -E 'segnas|libcuda|\bcu[A-Z]|\bcuda[A-Z]'; then
  echo "symbols: $plugin asks for these; the host lends a table, and the CUDA runtime is linked in" >&2
  exit 1
fi
needed=$(readelf -d "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if grep -vE '^(libc|libm|libdl|librt|libpthread|ld-linux.*)\.so\.[0-9]+$' <<<"$needed"; then
  echo "symbols: $plugin needs these; should be the C library alone" >&2
  exit 1
fi

# A program that is stripped or static has one of the two tables at most.
for file in "$@"; do
  [ -r "$file" ] || { echo "symbols: there is no $file" >&2; exit 1; }
  if { "$nm" "$file" 2>/dev/null; "$nm" -D "$file" 2>/dev/null; } | awk '{print $NF}' | grep -E '^_*(cuda?[A-Z]|cudart)' | sort -u; then
    echo "symbols: $file has these CUDA symbols" >&2
    exit 1
  fi
  if readelf -d "$file" | grep -E 'NEEDED.*(libcuda|libnv)'; then
    echo "symbols: $file needs these" >&2
    exit 1
  fi
done
echo "$plugin exports segnas_backend_open alone; no CUDA in $# others"
