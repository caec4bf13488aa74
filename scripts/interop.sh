#!/usr/bin/env bash
# scripts/interop.sh BUILD: installs the real peers, then runs tests/interop/run against BUILD/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

if [[ ! -d tests/interop ]]; then
  echo "interop: there is no tests/interop, nothing to run"
  exit 0
fi
if [[ ! -x tests/interop/run ]]; then
  echo "interop: tests/interop/run is missing or not executable" >&2
  exit 1
fi
"${SETUP:-scripts/setup.sh}" interop
exec tests/interop/run "$build"
