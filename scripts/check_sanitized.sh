#!/usr/bin/env bash
# `make check-sanitized`: runs the fault matrix and the real peers against sanitized builds. They are
# not a part of `make check`, because it would take too long. The presets are those of `make check`,
# which runs all other tests with them.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

"${SETUP:-scripts/setup.sh}" check || exit 1
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(($(nproc) + 1))}

failed=0
for preset in asan tsan; do
  echo "==== $preset"
  cmake --preset "$preset" >/dev/null &&
    cmake --build --preset "$preset" --target sanitized_faults programs &&
    ctest --preset "faults-$preset" || failed=1
  scripts/interop.sh "build/check-$preset" || failed=1
done
exit "$failed"
