#!/usr/bin/env bash
# `make test-repeat`: runs the suite of `make test` many times in a row, each time in another order. The
# first failure ends it and shows its output. A test that fails once in fifty runs is a fault of the test
# or of the library; mend it, do not run it again.
# Tests that only compile (the consumers, the snippets of the README) are left out, because each run of
# them gives the same result.
#   scripts/repeat.sh [build directory] [times]      (a sanitizer's build directory works, too)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

build=${1:-build}
times=${2:-50}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

for ((run = 1; run <= times; run++)); do
  began=$SECONDS
  if ! ctest --test-dir "$build" --no-tests=error --output-on-failure --stop-on-failure \
    --schedule-random --no-label-summary -LE 'faults|interop|long|bulk' -E '^consumer\.|SnippetsCompile' \
    >"$output" 2>&1; then
    grep -vE '^ *Start +[0-9]+:|   Passed +[0-9.]+ sec$' "$output"
    echo "run $run of $times: FAILED after $((SECONDS - began)) s"
    exit 1
  fi
  echo "run $run of $times: $(grep -o 'out of [0-9]*' "$output" | grep -o '[0-9]*') tests passed in $((SECONDS - began)) s"
done
