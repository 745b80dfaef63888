#!/usr/bin/env bash
# What ptxas gave each kernel, as a table; fails on a spill that is not expected, and on an expected one that is gone.
#   registers.sh TABLE EXPECTED LOG...
# EXPECTED holds lines "ARCHITECTURE KERNEL", the kernel as the table prints it; lines that begin with # are comments.
set -euo pipefail
table=$1 expected=$2
shift 2

# ptxas names a function, then its stack and spills, then its registers and static shared memory. A kernel is what it calls an entry function.
awk '
  /Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; arch = quoted[4]; spills = 0; next }
  /bytes spill stores/ { stored = $0; sub(/ bytes spill stores.*/, "", stored); sub(/.*[ ,]/, "", stored)
                         loaded = $0; sub(/ bytes spill loads.*/, "", loaded); sub(/.*[ ,]/, "", loaded); spills = stored + loaded; next }
  /: Used [0-9]+ registers/ {
    if (kernel == "") next
    registers = $0; sub(/.*: Used /, "", registers); sub(/ registers.*/, "", registers)
    shared = 0
    if ($0 ~ /bytes smem/) { shared = $0; sub(/ bytes smem.*/, "", shared); sub(/.*[ ,]/, "", shared) }
    printf "%s\t%d\t%d\t%d\t%s\n", arch, registers, shared, spills, kernel
    kernel = ""
  }' "$@" | c++filt | sed -e 's/segnas::gpu:://g' -e 's/(anonymous namespace):://g' -e 's/\tvoid /\t/' -e 's/([^()]*)$//' | sort -t "$(printf '\t')" -k5,5 -k1,1 >"$table.rows"
[ -s "$table.rows" ] || { echo "registers: the logs name no kernel" >&2; exit 1; }
{
  printf 'architecture\tregisters\tstatic shared bytes\tspilled bytes\tkernel\n'
  cat "$table.rows"
} >"$table"

awk -F '\t' '
  { kernels[$1]++; if ($2 > most[$1]) { most[$1] = $2; widest[$1] = $5 } }
  END { for (arch in kernels) printf "%s: %d kernels, at most %d registers (%s)\n", arch, kernels[arch], most[arch], widest[arch] }
' "$table.rows" | sort
seen=$(awk -F '\t' '$4 > 0 { print $1 " " $5 }' "$table.rows" | sort)
named=$(grep -vE '^(#|$)' "$expected" | sort || true)
# Only of architectures that were compiled for can be said that a spill is gone.
named=$(awk -F '\t' 'NR == FNR { compiled[$1] = 1; next } { split($0, word, " "); if (word[1] in compiled) print }' "$table.rows" - <<<"$named")
if ! diff <(echo "$named") <(echo "$seen"); then
  echo "registers: < expected to spill by $expected, > spills; the table is $table" >&2
  exit 1
fi
echo "no unexpected spill; the table is $table"
rm "$table.rows"
