#!/usr/bin/env bash
# `make check`: the tests under three sanitizer builds, the fuzzers, clang-tidy, the conformance
# suite, the faults, the instruction guard, the real peers, and whether the mutants still apply. Every
# stage runs, even after another one has failed. The end of the output repeats the failures of each
# failed stage, and the last line counts the stages.
set -uo pipefail
cd "$(dirname "$0")/.."

"${SETUP:-scripts/setup.sh}" check || exit 1
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(($(nproc) + 1))}

# A preset defines the build and the run; see CMakePresets.json.
sanitized() {
  cmake --preset "$1" >/dev/null && cmake --build --preset "$1" && ctest --preset "$1"
}

passed=0
failed=()
logs=build/check-logs
mkdir -p "$logs"
: >"$logs/times.txt"   # for scripts/times.sh
stage() {
  local name=$1 began=$SECONDS
  shift
  echo "==== $name"
  if "$@" 2>&1 | tee "$logs/$name.log"; then
    passed=$((passed + 1))
    echo "==== $name: passed in $((SECONDS - began)) s"
  else
    failed+=("$name")
    echo "==== $name: FAILED after $((SECONDS - began)) s"
  fi
  printf '%s\t%s\n' "$((SECONDS - began))" "$name" >>"$logs/times.txt"
}

# It links the objects of the tests of the Release build.
gcc_asan() {
  make --no-print-directory tests && sanitized gcc-asan
}

stage "g++, address and undefined behaviour" gcc_asan
stage "clang++, address and undefined behaviour" sanitized asan
stage "clang++, threads" sanitized tsan
stage "fuzzers" scripts/fuzz.sh "${FUZZ_SECONDS:-5}"
stage "clang-tidy" scripts/tidy.sh
stage "conformance" make --no-print-directory conformance
stage "faults" make --no-print-directory faults
stage "guard" make --no-print-directory guard
stage "interop" make --no-print-directory interop
stage "mutants apply" scripts/mutants.sh --check

for name in "${failed[@]}"; do
  echo "==== $name: the failures, and the end of the output (whole output: $logs/$name.log)"
  grep -E 'FAILED|Failed|FINDING|ERROR:|WARNING: ThreadSanitizer|runtime error|error:|BAD:|Timeout' "$logs/$name.log" | head -n 30
  tail -n 15 "$logs/$name.log"
done
echo "$passed passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
