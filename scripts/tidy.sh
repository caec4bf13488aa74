#!/usr/bin/env bash
# clang-tidy over the library's sources, with the commands of the clang build of `make check`.
set -euo pipefail
cd "$(dirname "$0")/.."

"${SETUP:-scripts/setup.sh}" check
cmake --preset asan >/dev/null
printf '%s\n' src/*/*.cc | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/check-asan 2>&1 |
  { grep -v 'warnings\? generated\.$' || true; }
