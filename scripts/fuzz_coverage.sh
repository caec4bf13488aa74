#!/usr/bin/env bash
# scripts/fuzz_coverage.sh: runs each fuzz target once over its committed seeds. It fails unless the seeds
# reach 80 % of the lines of every file that the target names in a line "// Subject: src/room/file.cc".
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=80

"${SETUP:-scripts/setup.sh}" check
cmake --preset fuzz-coverage >/dev/null
cmake --build --preset fuzz-coverage

build=build/check-fuzz-coverage
profdata=$(clang++ -print-prog-name=llvm-profdata)
cov=$(clang++ -print-prog-name=llvm-cov)

failed=0
subjects=0
complain() {
  echo "$*"
  failed=$((failed + 1))
}

for source in fuzz/*_fuzz.cc; do
  name=$(basename "$source" .cc)
  target=$build/fuzz/$name
  seeds=$(find "fuzz/corpus/$name" -type f 2>/dev/null | wc -l)
  if ((seeds == 0)); then
    complain "$name: no seeds in fuzz/corpus/$name"
    continue
  fi
  mapfile -t files < <(sed -n 's|^// Subject: ||p' "$source")
  if ((${#files[@]} == 0)); then
    complain "$name: names no subject"
    continue
  fi
  # -runs=0: runs the seeds and no new input.
  if ! LLVM_PROFILE_FILE=$target.profraw "$target" -runs=0 -timeout=120 \
    -artifact_prefix="$target-" "fuzz/corpus/$name" >"$target.log" 2>&1; then
    tail -n 40 "$target.log"
    complain "$name: its seeds fail, see $target.log"
    continue
  fi
  "$profdata" merge -sparse "$target.profraw" -o "$target.profdata"
  "$cov" report "$target" -instr-profile="$target.profdata" >"$target.report"
  for file in "${files[@]}"; do
    subjects=$((subjects + 1))
    lines=0
    read -r lines missed < <(awk -v file="$file" '$1 == file { print $8, $9 }' "$target.report") || true
    if ((lines == 0)); then
      complain "$name: $file is not in it"
      continue
    fi
    percent=$(((lines - missed) * 100 / lines))
    echo "$name: $file $percent % of $lines lines, $seeds seeds"
    ((percent >= wanted)) || complain "$name: $file is below $wanted %"
  done
done
echo "fuzz coverage: $subjects subjects, $failed complaints"
((failed == 0))
