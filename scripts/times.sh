#!/usr/bin/env bash
# scripts/times.sh [build directory]: prints where the time of `make test` and `make check` goes, as
# Markdown. Run both in a clean clone first, without a compiler cache. The script reads these files:
#   <build>/.ninja_log, build/check-*/.ninja_log      each step of each build
#   <build>/test.log                                  ctest's output of `make test`
#   build/check-logs/                                 the stages of `make check` and their output
#   scripts/times.sh >docs/test-times.md              renews the page
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
logs=build/check-logs

# The steps of a build: "<seconds> <kind> <output>". A step with several outputs counts once.
steps_of() {
  awk -F'\t' '
    /^#/ || seen[$1, $2, $5]++ { next }
    $4 ~ /\.(o|pch|gch)$/ && $4 !~ /^CMakeFiles\/tern\.dir|^tests|^examples|^fuzz|^bench|^\.\./ { next }
    {
      kind = "link"
      if ($4 ~ /\.(pch|gch)$/) kind = "header"
      else if ($4 ~ /\.o$/) kind = $4 ~ /tern\.dir/ ? "library" : $4 ~ /^examples/ ? "programs" : "tests"
      if (kind == "link" && $4 !~ /^(lib|tests|bin|fuzz)\//) next
      if (kind == "link" && $4 ~ /\[[0-9]*\]|\.cmake$|\.h$/) next
      print ($2 - $1) / 1000, kind, $4
    }' "$1/.ninja_log"
}

# One row: a build and the seconds of its steps, by kind.
build_row() {
  [[ -e $2/.ninja_log ]] || return 0
  steps_of "$2" | awk -v name="$1" '
    { sum[$2] += $1; all += $1; if ($2 != "link" && $2 != "header") ++files }
    END { printf "| %s | %d | %d | %d | %d | %d | %d | %d |\n", name, files, sum["header"],
          sum["library"], sum["tests"], sum["programs"], sum["link"], all }'
}

# The number of tests of a run, the sum of their seconds, and the seconds of the whole run.
run_row() {
  [[ -e $2 ]] || return 0
  awk -v name="$1" '
    match($0, /(Passed|Failed) +[0-9.]+ sec/) {
      split(substr($0, RSTART, RLENGTH), word, / +/); sum += word[2]; ++tests
    }
    /^Total Test time/ { whole = $(NF - 1) }
    END { if (tests) printf "| %s | %d | %d | %d |\n", name, tests, sum, whole }' "$2"
}

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
cat <<END
# Where the time of the tests goes

\`scripts/times.sh\` makes this page from the logs that \`make test\` and \`make check\` leave in \`build/\`.
This run: commit $(git log -1 --format=%h), $(date -u +'%B %Y'), $(nproc) cores (${cpu:-unknown}),
$(c++ --version | head -n 1), $(clang++ --version 2>/dev/null | head -n 1).

## Stages

| stage | seconds |
|---|---|
END
if [[ -e $build/test.log && -e $build/.ninja_log ]]; then
  awk -F'\t' '!/^#/ && $2 > end { end = $2 } END { printf "| `make test`, build | %d |\n", end / 1000 }' \
    "$build/.ninja_log"
  awk '/^Total Test time/ { printf "| `make test`, tests | %d |\n", $(NF - 1) }' "$build/test.log"
fi
if [[ -s $logs/times.txt ]]; then
  awk -F'\t' '{ printf "| `make check`, %s | %d |\n", $2, $1 }' "$logs/times.txt"
fi
cat <<'END'

## Builds

Seconds of all steps together. With two cores a build takes about half of them.

| build | files | headers, once | library | tests | programs | links | all |
|---|---|---|---|---|---|---|---|
END
build_row 'Release (g++)' "$build"
build_row 'g++, ASan and UBSan' build/check-gcc-asan
build_row 'clang++, ASan and UBSan' build/check-asan
build_row 'clang++, TSan' build/check-tsan
cat <<'END'

## Runs of CTest

Under a sanitizer a whole program is one test.

| run | tests | seconds of all tests | seconds of the run |
|---|---|---|---|
END
run_row "\`make test\`" "$build/test.log"
for log in "$logs"/*.log; do
  [[ -e $log ]] && run_row "$(basename "$log" .log)" "$log"
done
cat <<'END'

## The slowest files to compile, and the slowest tests

| Release build | seconds | | `make test` | seconds |
|---|---|---|---|---|
END
files() { steps_of "$build" | awk '$2 != "link" { sub(/.*CMakeFiles\//, "", $3); sub(/[^\/]*\.dir\//, "", $3); sub(/\.o$/, "", $3); printf "%.1f\t%s\n", $1, $3 }'; }
tests() {
  [[ -e $build/test.log ]] || return 0
  sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+).* (Passed|\*\*\*Failed) +([0-9.]+) sec.*/\3\t\1/p' "$build/test.log"
}
paste <(files | sort -rn | head -n 12) <(tests | sort -rn | head -n 12) |
  awk -F'\t' '{ printf "| `%s` | %s | | %s | %s |\n", $2, $1, $4 ? "`" $4 "`" : "", $3 }'
