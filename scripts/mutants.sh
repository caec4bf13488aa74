#!/usr/bin/env bash
# `make mutants`: do the tests test? Each tests/mutants/<name>.patch is a small fault in one source
# or header of the library; its head says what it breaks and which test programs are to notice:
#
#   # breaks: max_fragments is off by one
#   # caught by: engine_limits_test
#
# The patch is applied to a copy of that source, the copy is compiled and linked in front of the
# library, which thereby loses its own version of it, and the programs are run; so are, of a header,
# all sources of the library that include it, with the copy before them. One of them has to
# fail, or to take a minute more than ten times as long as without a mutant: then it hangs. A mutant
# that survives is a hole in the tests.
#   scripts/mutants.sh [build directory [name…]]     (built: `make mutants` sees to that)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

patches=tests/mutants

head_of() { sed -n "s/^# $2: //p" "$patches/$1.patch"; }
# The commands with which ninja builds a target, one a line.
commands_for() { ninja -C "$build" -t commands "$1"; }

# Runs a test program for at most $2 seconds; prints the first test that failed, or why there is
# none. True: all passed.
passes() {
  local output code
  output=$(cd "$(dirname "$1")" && timeout "$2" "$1" --gtest_brief=1 --gtest_fail_fast 2>&1)
  code=$?
  if ((code == 0)); then return 0; fi
  if ((code == 124)); then echo "(hangs)" && return 1; fi
  grep -m1 -o '\[  FAILED  \] [^ ,]*' <<<"$output" | sed 's/.*\] //' || echo "(exit code $code)"
  return 1
}

# The sources of the library that include a header, a line each.
includers() {
  ninja -C "$build" -t deps | awk -v header="$PWD/$1" '
    /^[^ ]/ { object = $1 }
    $1 == header && sub(/.*tern\.dir\//, "", object) { sub(/\.o:$/, "", object); print object }'
}

# Compiles $3 as the source $2 of the library, to $1. Headers below $1 come before their originals.
compile_as() {
  local command
  command=$(grep -m1 -F -- " -c $PWD/$2" "$build/mutants/compile")
  [[ -n $command ]] || { echo "nothing compiles $2"; return 1; }
  command=$(sed -E "s# -I# -I$1/src -I#; s# -o [^ ]+# -o $1/${2//\//_}.o#; s# -MF [^ ]+# -MF $1/mutant.d#; s# -c [^ ]+# -Wno-error -c $3#" <<<"$command")
  (cd "$build" && eval "$command")
}

# Compiles the mutant of the file $2, which lies at $1/$2.
compile() {
  local source
  if [[ $2 == *.cc ]]; then
    compile_as "$1" "$2" "$1/$2"
    return
  fi
  for source in $(includers "$2"); do
    compile_as "$1" "$source" "$PWD/$source" || return 1
  done
}

# Links the test program $2 with it, to $1/$2.
link() {
  local command
  command=$(tail -n 1 "$build/mutants/link.$2")
  command=$(sed -E "s# -o [^ ]+# -o $1/$2#; s# ([^ ]*libtern\.a)# $1/*.o \1#" <<<"$command")
  (cd "$build" && eval "$command")
}

# One mutant: a line "<verdict> <name> <seconds> <by what>" on standard output.
try() {
  local name=$1 began=$SECONDS slot file test failure
  slot=$build/mutants/$name
  rm -rf "$slot" && mkdir -p "$slot"
  file=$(sed -n 's#^--- a/##p' "$patches/$name.patch" | sed 's/[[:space:]].*//')
  verdict() { echo "$1 $name $((SECONDS - began)) ${*:2}"; }
  if [[ $(wc -w <<<"$file") != 1 || $file != src/*.@(cc|h) || -z $(head_of "$name" breaks) ]]; then
    verdict BAD "not a fault in one file of src/, with a head that says what it breaks"
  elif ! mkdir -p "$slot/${file%/*}" ||
    ! patch --batch --forward --fuzz=0 -p1 -o "$slot/$file" <"$patches/$name.patch" >"$slot/log" 2>&1; then
    verdict BAD "does not apply to $file any more: $slot/log"
  elif ! compile "$slot" "$file" >>"$slot/log" 2>&1; then
    verdict BAD "does not compile: $slot/log"
  else
    for test in $(head_of "$name" "caught by"); do
      if ! link "$slot" "$test" >>"$slot/log" 2>&1; then
        verdict BAD "$test does not link: $slot/log"
        return
      fi
      if ! failure=$(passes "$slot/$test" $((60 + 10 * $(<"$build/mutants/took.$test")))); then
        verdict caught "$test: $failure"
        rm -rf "$slot"
        return
      fi
    done
    verdict SURVIVED "$(head_of "$name" breaks)"
  fi
}

build=$(realpath "${1:-build}")
if [[ ${2:-} == --try ]]; then
  try "$3"
  exit
fi
names=("${@:2}")
((${#names[@]})) || names=("$patches"/*.patch)
names=("${names[@]##*/}")
names=("${names[@]%.patch}")

mkdir -p "$build/mutants"
commands_for all >"$build/mutants/compile"
tests=$(for name in "${names[@]}"; do head_of "$name" "caught by"; done | tr ' ' '\n' | sort -u)
for test in $tests; do
  commands_for "$test" >"$build/mutants/link.$test" || exit 1
  began=$SECONDS
  if ! failure=$(passes "$build/tests/$test" 900); then
    echo "$test fails without any mutant: $failure"
    exit 1
  fi
  echo $((SECONDS - began)) >"$build/mutants/took.$test"
done

printf '%-42s %4s  %s\n' mutant s 'caught by'
caught=0
while read -r verdict name seconds what; do
  [[ $verdict == caught ]] && caught=$((caught + 1)) || what="$verdict: $what"
  printf '%-42s %4s  %s\n' "$name" "$seconds" "$what"
done < <(printf '%s\n' "${names[@]}" |
  xargs -P "${CTEST_PARALLEL_LEVEL:-$(nproc)}" -I{} "$0" "$build" --try {})
echo "${#names[@]} mutants, $caught caught, $SECONDS s"
((caught == ${#names[@]}))
