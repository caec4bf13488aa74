#!/usr/bin/env bash
# Runs clang-tidy on the library's sources. It takes the compile commands from a build directory of its own,
# which is only configured, because clang-tidy cannot read the precompiled header of a sanitized build that
# is not built yet.
set -euo pipefail
cd "$(dirname "$0")/.."

"${SETUP:-scripts/setup.sh}" check
cmake -S . -B build/check-tidy -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++ \
  -DTERN_BUILD_TESTS=OFF -DTERN_BUILD_EXAMPLES=OFF -DTERN_INSTALL=OFF >/dev/null
printf '%s\n' src/*/*.cc | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/check-tidy 2>&1 |
  { grep -v 'warnings\? generated\.$' || true; }
