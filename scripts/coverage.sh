#!/usr/bin/env bash
# `make coverage`: counts the lines of the library that the tests run. It builds with g++ --coverage,
# runs the unit, socket and conformance tests and prints a table of rooms. It fails unless they run all
# lines of frame, handshake, http and engine, and 95 % of the library. No line is excluded.
#   scripts/coverage.sh          builds, runs and prints
#   scripts/coverage.sh report   prints the table of the last run
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/check-coverage
"${SETUP:-scripts/setup.sh}" coverage
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}

tests=0
marks=0
if [[ ${1:-} != report ]]; then
  cmake --preset coverage >/dev/null
  cmake --build --preset coverage
  find "$build" -name '*.gcda' -delete  # counts of an earlier run
  ctest --preset coverage --progress --no-label-summary || tests=1
fi

# One row a file: name, lines, lines that ran, …, branches, branches taken.
gcovr --root . --object-directory "$build" --filter src/ --filter include/tern/ \
  --exclude-throw-branches --exclude-unreachable-branches --sort-uncovered \
  --csv "$build/coverage.csv" --txt "$build/coverage.txt" \
  --html-details "$build/coverage.html" "$build"

# Public headers form the row "include". Only engine.h belongs to a room here, because the room engine
# must be covered completely.
awk -F, -v whole="frame handshake http engine" -v least=95 '
  function share(part, of) { return of ? 100 * part / of : 100 }
  function row(name, l, lr, b, br) {
    printf "%-12s %6d %6d %7.2f %% %8.2f %%\n", name, l, lr, share(lr, l), share(br, b)
  }
  NR == 1 { next }
  {
    split($1, path, "/")
    room = path[1] == "src" ? path[2] : path[3] == "engine.h" ? "engine" : "include"
    lines[room] += $2; ran[room] += $3; branches[room] += $5; taken[room] += $6
    all += $2; all_ran += $3; all_branches += $5; all_taken += $6
    if ($2 > $3) missed[room] = missed[room] " " $1
  }
  END {
    printf "%-12s %6s %6s %9s %10s\n", "room", "lines", "ran", "lines", "branches"
    count = split("base simd crypto http deflate handshake frame engine topics net tls " \
                  "connection server client coroutine include", order, " ")
    for (i = 1; i <= count; ++i) known[order[i]] = 1
    for (room in lines) if (!(room in known)) order[++count] = room
    for (i = 1; i <= count; ++i) {
      room = order[i]
      if (room in lines) row(room, lines[room], ran[room], branches[room], taken[room])
    }
    row("library", all, all_ran, all_branches, all_taken)
    split(whole, must, " ")
    for (i in must) {
      if (lines[must[i]] == 0 || ran[must[i]] < lines[must[i]]) {
        print "coverage: lines of " must[i] " did not run:" missed[must[i]]
        failed = 1
      }
    }
    if (share(all_ran, all) < least) {
      print "coverage: less than " least " % of the library"
      failed = 1
    }
    exit failed
  }' "$build/coverage.csv" || marks=1
if ((marks)); then
  echo "coverage: FAILED; see $build/coverage.txt and $build/coverage.html" >&2
  exit 1
fi
if ((tests)); then
  echo "coverage: tests FAILED" >&2
  exit 1
fi
echo "coverage: passed"
