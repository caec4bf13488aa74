#!/usr/bin/env bash
# `make check`: the tests under three sanitizer builds, the fuzzers, the faults, the real peers,
# clang-tidy.
# Every stage runs, also after one has failed; the last line counts them.
set -uo pipefail
cd "$(dirname "$0")/.."

"${SETUP:-scripts/setup.sh}" check || exit 1
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}

# A preset says how it is built and run; see CMakePresets.json.
sanitized() {
  cmake --preset "$1" >/dev/null && cmake --build --preset "$1" && ctest --preset "$1"
}

# The fault matrix in the Release build, as the kernel's faults are a matter of the code that ships.
faults() {
  make --no-print-directory SETUP=: build/.with-tests &&
    cmake --build build --target tern_tests &&
    ctest --test-dir build --no-tests=error --output-on-failure -L faults
}

passed=0
failed=0
stage() {
  local name=$1 began=$SECONDS
  shift
  echo "==== $name"
  if "$@"; then
    passed=$((passed + 1))
    echo "==== $name: passed in $((SECONDS - began)) s"
  else
    failed=$((failed + 1))
    echo "==== $name: FAILED after $((SECONDS - began)) s"
  fi
}

stage "g++, address and undefined behaviour" sanitized gcc-asan
stage "clang++, address and undefined behaviour" sanitized asan
stage "clang++, threads" sanitized tsan
stage "fuzzers" scripts/fuzz.sh "${FUZZ_SECONDS:-5}"
stage "clang-tidy" scripts/tidy.sh
stage "faults" faults
stage "interop" make --no-print-directory interop

echo "$passed passed, $failed failed"
((failed == 0))
