#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS: runs each fuzz target for that time, from the seeds in fuzz/corpus/<target>/.
# scripts/fuzz.sh short: runs the seeds and then new inputs, ten times as many as there are seeds and 2 000 at
# least. The work does not depend on the speed of the machine.
# New inputs that reach new code go to the build directory. The script fails on a finding and names its
# input. It also fails if a target has no seeds or did not run all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
amount=${1:?usage: scripts/fuzz.sh SECONDS|short}

"${SETUP:-scripts/setup.sh}" check
cmake --preset asan >/dev/null
cmake --build --preset fuzz

build=build/check-asan
export ASAN_OPTIONS=halt_on_error=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# fuzz_one TARGET: prints one line, or the end of the log after a finding. The time-out of one input is
# long, because it is wall time: on a busy machine an input must not look like an endless loop.
fuzz_one() {
  local target=$1 name log corpora executed seeds limit
  name=$(basename "$target")
  log=$build/fuzz/$name.log
  mkdir -p "$build/fuzz/corpus/$name" "$build/fuzz/findings"
  corpora=("$build/fuzz/corpus/$name")
  [[ -d fuzz/corpus/$name ]] && corpora+=("fuzz/corpus/$name")
  seeds=$(find "fuzz/corpus/$name" -type f 2>/dev/null | wc -l)
  limit=-max_total_time=$amount
  if [[ $amount == short ]]; then
    limit=-runs=$(($(find "${corpora[@]}" -type f | wc -l) + (seeds > 200 ? 10 * seeds : 2000)))
  fi
  if "$target" "$limit" -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/fuzz/findings/$name-" "${corpora[@]}" >"$log" 2>&1; then
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if ((seeds == 0 || ${executed:-0} < seeds)); then
      echo "$name: ran ${executed:-0} inputs and has $seeds seeds; it must have seeds and run them all"
      return 1
    fi
    echo "$name: $executed inputs, no finding"
  else
    tail -n 60 "$log"
    echo "$name: FINDING, see $log"
    return 1
  fi
}

targets=()
for source in fuzz/*_fuzz.cc; do
  [[ -e $source ]] && targets+=("$build/fuzz/$(basename "$source" .cc)")
done
if ((${#targets[@]} == 0)); then
  echo "fuzz: there is no target" >&2
  exit 1
fi

# One target per core at a time.
failed=0
running=0
for target in "${targets[@]}"; do
  if ((running >= $(nproc))); then
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  fi
  fuzz_one "$target" &
  running=$((running + 1))
done
while ((running > 0)); do
  wait -n || failed=$((failed + 1))
  running=$((running - 1))
done
echo "fuzz: ${#targets[@]} targets, $failed with findings"
((failed == 0))
