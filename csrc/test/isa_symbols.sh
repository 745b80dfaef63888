#!/usr/bin/env bash
# No code leaks between instruction sets. An object of csrc/isa may share weak symbols (inline functions and templates that the linker keeps
# one copy of) only inside its set's namespace: of any other, the linker might keep the copy compiled for AVX-512 and run it everywhere.
#   isa_symbols.sh NM OBJECT...
set -euo pipefail
nm=$1
shift
bad=0
for object in "$@"; do
  set=$(basename "$object" | cut -d. -f1)
  own="segnas::$set::"
  [ "$set" = kernels ] && own='segnas::'
  leaks=$("$nm" -C --defined-only "$object" | awk '$2 ~ /^[WwVvu]$/' | cut -c20- | grep -vF "$own" || true)
  if [ -n "$leaks" ]; then
    echo "isa_symbols: weak symbols of $object outside $own"
    echo "$leaks"
    bad=1
  fi
done
[ $bad = 0 ] && echo "$# objects, no weak symbol outside its own namespace"
exit $bad
