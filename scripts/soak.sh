#!/usr/bin/env bash
# scripts/soak.sh BUILD: loads BUILD/bin/echo_server for SOAK_MINUTES (30) with echoes, pushes,
# churn and faults. It fails when an echo is wrong or when the memory of the server keeps growing.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

"${SETUP:-scripts/setup.sh}" test
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DTERN_BUILD_TESTS=ON >/dev/null
cmake --build "$build" --target programs soak
SOAK_MINUTES=${SOAK_MINUTES:-30} exec "$build/tests/soak"
