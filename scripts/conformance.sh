#!/usr/bin/env bash
# scripts/conformance.sh BUILD [--update]: runs every case of the conformance suite, the bulk too,
# against the engine and the programs in BUILD, in both roles, and compares what it finds with
# tests/conformance/results.txt. With --update the findings take its place, to be read and committed.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
committed=tests/conformance/results.txt
found=$build/conformance/results.txt

rm -rf "$build/conformance"
ctest --test-dir "$build" -L conformance --no-tests=error --output-on-failure --no-label-summary
passed=$?

# In the order of the numbers, then way and role.
{
  echo "# Each case of the conformance suite: number, way to the subject, its role, verdict, verdict on"
  echo "# the close, code of its Close frame, how it ended TCP. Written by scripts/conformance.sh --update"
  cat "$build"/conformance/*-*.txt | sort -t' ' -k1,1V -k2,2 -k3,3r
} >"$found"
echo "conformance: $(grep -vc '^#' "$found") lines, $(grep -c ' OK OK ' "$found") OK with a good close," \
  "$(grep -c ' INFORMATIONAL OK ' "$found") informational"

if [[ ${2:-} == --update ]]; then
  cp "$found" "$committed"
  exit 0
fi
diff -u "$committed" "$found" || exit 1
exit "$passed"
