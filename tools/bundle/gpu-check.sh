#!/usr/bin/env bash
# Builds the plug-in of this bundle, checks it, measures it, and prints one table. A step that fails does not stop the others.
#   ./gpu-check.sh            on a machine with an NVIDIA GPU, the CUDA toolkit, CMake and a C++ compiler
#   ./gpu-check.sh --cpu      the part that needs none of these
#   ./gpu-check.sh STEP...    some steps, by the table's names
# DEVICE=cuda:1 chooses another GPU, RESULTS=FOLDER where logs go (./results). Exit code: 0 when nothing failed, else 1; 2 misuse.
set -u
cd "$(dirname "$(realpath "$0")")" || exit 1
results=$(realpath -m "${RESULTS:-results}")
device=${DEVICE:-cuda:0}
search_device=${SEARCH_DEVICE:-auto} # of tools that deploy networks: the GPU where it has sessions
log=${LOG:-}
SEGNAS_COMMIT=$(cat COMMIT)
export SEGNAS_COMMIT
limit=1800 # seconds a step at most

# ---------------------------------------------------------------- steps: each is a function that prints, and leaves one line in $note

note() { printf '%s\n' "$*" >"$results/note"; }
skip() {
  note "$*"
  return 77
}
last_of() { grep -E "$1" "$log" | tail -n 1 | sed 's/^ *//'; }

step_machine() {
  uname -srm
  nproc
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi -q -d CLOCK,TEMPERATURE,POWER,PERFORMANCE | head -n 120
    note "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | head -n 1)"
  else
    note "$(uname -m), $(nproc) processors, no nvidia-smi"
  fi
}
step_build() { ./build.sh && note "$(du -h bin/libsegnas_cuda.so | cut -f 1) bin/libsegnas_cuda.so, $(last_of 'nvcc [0-9].* for ')"; }
step_devices() {
  bin/devices --device auto
  bin/devices --device "$device" >/dev/null && note "$(last_of '^segnas ' | sed 's/;.*//')"
}
step_nvml() { bin/driver.test -test.v -test.run TestOpen_TheReal && note "$(last_of 'driver_test.go' | sed 's/.*driver_test.go:[0-9]*: //')"; }
step_opcheck_cpu() { bin/opcheck --jobs "$(nproc)" --support support.golden && note "$(last_of ' passed, ')"; }
step_opcheck() { bin/opcheck --jobs "$(nproc)" --backend "${device%%:*}" && note "$(last_of ' passed, ')"; }

sanitizer() {
  command -v compute-sanitizer >/dev/null || { skip "there is no compute-sanitizer on PATH (it comes with the toolkit)"; return; }
  local part
  for part in cases sessions; do
    compute-sanitizer --tool "$1" --error-exitcode 9 bin/opcheck --backend "${device%%:*}" --only $part || return
  done
  note "$(last_of 'ERROR SUMMARY|RACECHECK SUMMARY')"
}
step_memcheck() { sanitizer memcheck; }
step_racecheck() { sanitizer racecheck; }
step_synccheck() { sanitizer synccheck; }
step_initcheck() { sanitizer initcheck; }

step_go_tests() {
  local code=0
  # What compares with the sources has none here.
  for test in gobind latency supernet; do "bin/$test.test" -test.v -test.skip 'Unity|Plugin' || code=1; done
  note "$(grep -c '^--- PASS' "$log") tests passed, $(grep -c '^--- FAIL' "$log") failed"
  return $code
}
step_device_test() {
  SEGNAS_TEST_DEVICE=$device bin/run.test -test.v -test.run 'Device_(Training|Sessions)' && note "$(last_of 'losses' | sed 's/.*losses //')"
}
step_train() {
  bin/train --device "$device" --size 128x256 --batch 8 --scratch-steps 60 --checks 1 --train-scenes 64 --search-scenes 4 --test-scenes 8 --out "$results/train" &&
    note "$(last_of 'train: .*pictures/s'), $(last_of '^mean IoU')"
}
tiny=(--threads 2 --size 64x96 --train-scenes 8 --search-scenes 3 --test-scenes 3)
step_search() {
  bin/search "${tiny[@]}" --device "$search_device" --batch 2 --supernet-steps 6 --scratch-steps 4 --retrain-steps 3 --recalibration-batches 1 --checks 1 \
    --population 4 --pool 2 --mutants 2 --crosses 2 --generations 2 --table-rounds 2 --final-rounds 2 --limit-ms 1000 --limit-macs 30M --out "$results/search" &&
    note "$(last_of '^winner ')"
}
step_profile() {
  bin/profile --device "$search_device" --size 64x96 --rounds 2 --verify 3 --table "$results/table.jsonl" && note "$(last_of '^whole ' | awk '{ print "MAPE " $2 " % of 3 networks" }')"
}
# Deployed networks at full size in every precision that the GPU has: what a search there would see.
step_sessions() {
  local p code=0 seen=()
  for p in f32 f16 bf16; do
    bin/profile --device "$device" --precision $p --size 1024x2048 --rounds 10 --verify 5 --table "$results/table-$p.jsonl" || { code=$?; [ $code = 2 ] && [ $p = bf16 ] && code=0; }
    [ $code = 0 ] || return $code
    seen+=("$p MAPE $(last_of '^whole ' | awk '{ print $2 }') %")
  done
  note "${seen[*]}"
}
step_bench() {
  SEGNAS_DEVICE=$device bin/bench.test -test.run '^$' -test.bench Operations -test.benchtime 5x && note "$(grep -c ns/op "$log") operations timed: results/bench.log"
}
step_bench_cpu() {
  bin/bench.test -test.run '^$' -test.bench 'Operations/.*/1x1024x2048/(stem|stage1.block1)' -test.benchtime 1x && note "$(grep -c ns/op "$log") operations timed"
}
step_pytorch() {
  command -v python3 >/dev/null || { skip "there is no python3"; return; }
  python3 -c 'import numpy, torch' 2>/dev/null || { skip "python3 has no torch and numpy"; return; }
  python3 peers/bench.py --segnas bin/segnas-peer --peers torch --threads 1 --precisions fp32,bf16,fp16 --device "$device" && note "training: $(last_of '^ *torch fp32')"
}

# ---------------------------------------------------------------- running them

# A step runs in a process of its own, which is this script again, so that it can be ended.
if [ -n "${SEGNAS_STEP:-}" ]; then
  "step_$SEGNAS_STEP"
  exit
fi
gpu=(machine build devices nvml opcheck device_test train memcheck racecheck synccheck initcheck go_tests search profile sessions bench pytorch)
cpu=(machine devices nvml opcheck_cpu go_tests search profile bench_cpu)
steps=("${gpu[@]}")
if [ "${1:-}" = --cpu ]; then
  shift
  steps=("${cpu[@]}") device=cpu search_device=cpu
fi
[ $# -eq 0 ] || steps=("$@")
for step in "${steps[@]}"; do
  declare -F "step_$step" >/dev/null || { echo "gpu-check.sh: no step is called $step; there are ${gpu[*]}, and with --cpu ${cpu[*]}" >&2; exit 2; }
done
mkdir -p "$results" || exit 1
passed=0 failed=0 skipped=0 rows=()
for step in "${steps[@]}"; do
  log=$results/$step.log
  began=$SECONDS
  printf '== %s\n' "$step" >&2
  : >"$results/note"
  : >"$log"
  SEGNAS_STEP=$step DEVICE=$device SEARCH_DEVICE=$search_device RESULTS=$results LOG=$log timeout --kill-after 10 "$limit" bash ./gpu-check.sh >>"$log" 2>&1
  code=$?
  text=$(head -c 200 "$results/note" | tr -s ' ')
  case $code in
    0) outcome=passed passed=$((passed + 1)) ;;
    77) outcome=skipped skipped=$((skipped + 1)) ;;
    124 | 137) outcome=FAILED failed=$((failed + 1)) text="still running after $limit s" ;;
    *) outcome=FAILED failed=$((failed + 1)) text="code $code: $(grep -v '^ *$' "$log" | tail -n 1 | head -c 200)" ;;
  esac
  rows+=("$(printf '%-12s %-8s %6d s  %s' "$step" "$outcome" $((SECONDS - began)) "$text")")
done
rm -f "$results/note"
{
  printf '\nsegnas %s on %s, %s\n' "$SEGNAS_COMMIT" "$(uname -n)" "$(date -u +%Y-%m-%dT%H:%MZ)"
  printf '%-12s %-8s %8s  %s\n' step outcome time result
  printf '%s\n' "${rows[@]}"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
} | tee "$results/table.txt"
code=$((failed > 0))
printf 'exit code %d; logs in %s\n' "$code" "$results"
exit "$code"
