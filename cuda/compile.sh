#!/usr/bin/env bash
# Runs nvcc. What ptxas says of registers and spills goes to LOG alone (registers.sh reads it); everything else is shown as well.
#   compile.sh LOG NVCC ARGUMENTS...
set -uo pipefail
log=$1
shift
"$@" >"$log" 2>&1
status=$?
grep -vE '^ptxas info|^ *[0-9]+ bytes (stack frame|cumulative)' "$log" >&2
exit $status
