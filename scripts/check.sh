#!/usr/bin/env bash
# `make check`: the tests under three sanitizer builds, the fuzzers, clang-tidy, the conformance
# suite, the faults, the instruction guard, the real peers, and whether the mutants still apply. Every
# stage runs, even after another one has failed. The end of the output repeats the failures of each
# failed stage, and the last line counts the stages.
#
# Most tests wait for sockets and clocks. So the sanitized builds and clang-tidy, which only compute, run in
# the background at the same time. They have a low priority, so that they do not slow the tests down. Each
# writes to a log of its own. A stage that needs one of them waits for it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

began_all=$SECONDS
for job in check guard interop; do "${SETUP:-scripts/setup.sh}" "$job" || exit 1; done
export SETUP=:   # two jobs at a time must not install packages
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(($(nproc) + 1))}

passed=0
failed=()
logs=build/check-logs
mkdir -p "$logs"
: >"$logs/times.txt"   # for scripts/times.sh
took() { printf '%s\t%s\n' "$2" "$1" >>"$logs/times.txt"; }

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
  took "$name" $((SECONDS - began))
}

# job NAME COMMAND…: one job of the background. It prints its name when it has ended.
job() {
  local name=$1 began=$SECONDS result=failed
  shift
  "$@" >"$logs/$name.log" 2>&1 && result=passed
  took "$name (in the background)" $((SECONDS - began))
  echo "$result $name"
}
# A preset defines the build and the run; see CMakePresets.json.
build() { cmake --preset "$1" >/dev/null && cmake --build --preset "$1"; }
asan() { build asan && cmake --build --preset fuzz; }   # "fuzz" builds more targets of the same directory
background() {
  renice -n 10 -p "$BASHPID" >/dev/null
  # It links the objects of the tests and programs of the Release build.
  job "build of gcc-asan" build gcc-asan
  job "build of asan" asan
  job "build of tsan" build tsan
  job "run of clang-tidy" scripts/tidy.sh
}

# await NAME: waits for a job of the background. If it failed, this prints its log and fails.
declare -A ended
await() {
  local result name
  while [[ -z ${ended[$1]:-} ]] && read -r -u "$jobs" result name; do ended[$name]=$result; done
  [[ ${ended[$1]:-} == passed ]]
}
# stage_after JOB NAME COMMAND…: a stage that needs a job of the background.
stage_after() {
  local job=$1 name=$2
  shift 2
  if await "$job"; then
    stage "$name" "$@"
  else
    stage "$name" fail_with "$logs/$job.log"
  fi
}
fail_with() {
  cat "$1"
  return 1
}

# Both sides below use this build, so it is complete before they begin.
stage "release build" make --no-print-directory tests build-guard
exec {jobs}< <(background)

stage "conformance" make --no-print-directory conformance
stage "faults" make --no-print-directory faults
stage "guard" make --no-print-directory guard
stage "interop" make --no-print-directory interop
stage "mutants apply" scripts/mutants.sh --check
stage_after "build of gcc-asan" "g++, address and undefined behaviour" ctest --preset gcc-asan
stage_after "build of asan" "clang++, address and undefined behaviour" ctest --preset asan
stage_after "build of asan" "fuzzers" scripts/fuzz.sh "${FUZZ_SECONDS:-short}"
stage_after "build of tsan" "clang++, threads" ctest --preset tsan
stage_after "run of clang-tidy" "clang-tidy" cat "$logs/run of clang-tidy.log"

for name in "${failed[@]}"; do
  echo "==== $name: the failures, and the end of the output (whole output: $logs/$name.log)"
  grep -E 'FAILED|Failed|FINDING|ERROR:|WARNING: ThreadSanitizer|runtime error|error:|BAD:|Timeout' "$logs/$name.log" | head -n 30
  tail -n 15 "$logs/$name.log"
done
took "all" $((SECONDS - began_all))
echo "all stages took $((SECONDS - began_all)) s"
echo "$passed passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
