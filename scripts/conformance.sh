#!/usr/bin/env bash
# scripts/conformance.sh BUILD [--update]: runs every case of the conformance suite, including the bulk,
# against the engine and the programs in BUILD, in both roles. It compares the findings with
# tests/conformance/results.txt. With --update it replaces that file; read the change and commit it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${1:-build}
committed=tests/conformance/results.txt
found=$build/conformance/results.txt

rm -rf "$build/conformance"
ctest --test-dir "$build" -L conformance --no-tests=error --output-on-failure --no-label-summary
passed=$?

# Sorted by number, then by way and role.
{
  sed -n '/^#/p' "$committed"
  cat "$build"/conformance/*-*.txt | sort -t' ' -k1,1V -k2,2 -k3,3r
} >"$found"
awk '!/^#/ { if (NF == 6 && $5 == "as") usual += $4; else ++exceptions }
  END { printf "conformance: %d cases as expected, %d others\n", usual, exceptions }' "$found"

if [[ ${2:-} == --update ]]; then
  cp "$found" "$committed"
  exit 0
fi
diff -u "$committed" "$found" || exit 1
exit "$passed"
