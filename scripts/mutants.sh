#!/usr/bin/env bash
# `make mutants` tests the tests. Each tests/mutants/<name>.patch puts one small fault into one file
# of the library or of the command tern; the tests that its head names must notice the fault. tests/mutants/README.md
# explains the patches and the verdicts.
#
# The script applies the patch to a copy of the file, compiles the copy, and links it before the
# library, so that it replaces the library's own version. For a header, it compiles every source of
# the library that includes the header. Then it runs the test programs. For a file of tools/ it links
# the command in the same way, and the test programs run that one.
#   scripts/mutants.sh [build directory [name…]]     (`make mutants` builds the directory first)
#   scripts/mutants.sh --check [name…]               (only lists the patches that do not apply; 3 seconds)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

patches=tests/mutants

head_of() { sed -n "s/^# $2: //p" "$patches/$1.patch"; }

# The file that a patch changes, or nothing when it changes several.
file_of() {
  local files
  mapfile -t files < <(sed -n 's#^--- a/##p' "$patches/$1.patch" | sed 's/[[:space:]].*//')
  ((${#files[@]} != 1)) || echo "${files[0]}"
}

# Applies the patch $1 to a copy of its file, $2. "-o /dev/null" only tries.
apply() {
  patch --batch --forward --fuzz=0 -p1 -o "$2" -r /dev/null <"$patches/$1.patch"
}

# Prints why the patch $1 cannot be a mutant; prints nothing when it is one.
complaint_of() {
  local file test
  [[ -e $patches/$1.patch ]] || { echo "there is no $patches/$1.patch"; return; }
  file=$(file_of "$1")
  if [[ $file != @(src|tools)/*.@(cc|h) ]]; then
    echo "does not change exactly one .cc or .h file of src/ or tools/"
  elif [[ -z $(head_of "$1" breaks) || -z $(head_of "$1" "caught by") ]]; then
    echo "its head lacks \"# breaks:\" or \"# caught by:\""
  elif [[ ! -e $file ]]; then
    echo "does not apply: there is no $file"
  elif ! apply "$1" /dev/null >/dev/null 2>&1; then
    echo "does not apply to $file any more"
  fi
  for test in $(head_of "$1" "caught by"); do
    compgen -G "tests/$test.cc" >/dev/null || compgen -G "tests/*/$test.cc" >/dev/null ||
      echo "names the test program $test, which does not exist"
  done
}

# The commands with which ninja builds a target, one a line.
commands_for() { ninja -C "$build" -t commands "$1"; }

# Runs a test program for at most $2 seconds, with the programs in the directory $3 if one is given. Prints the first test that failed, or the reason why
# none is known. True: all passed.
passes() {
  local output code
  output=$(cd "$(dirname "$1")" && timeout "$2" env ${3:+TERN_PROGRAMS="$3"} "$1" \
    --gtest_brief=1 --gtest_fail_fast 2>&1)
  code=$?
  if ((code == 0)); then return 0; fi
  if ((code == 124)); then echo "(hangs)" && return 1; fi
  grep -m1 -o '\[  FAILED  \] [^ ,]*' <<<"$output" | sed 's/.*\] //' || echo "(exit code $code)"
  return 1
}

# The sources of the library or of the command that include a header, a line each. ccache may make the
# paths relative.
includers() {
  ninja -C "$build" -t deps | awk -v header="$PWD/$1" \
    -v relative="$(realpath --relative-to="$build" "$1")" '
    /^[^ ]/ { object = $1 }
    ($1 == header || $1 == relative) &&
        (sub(/.*tern\.dir\//, "", object) || sub(/.*tern_command\.dir\//, "tools/", object)) {
      sub(/\.o:$/, "", object)
      print object
    }'
}

# Compiles $3 as the source $2 of the library or the command, to $1. Headers below $1 come before their originals.
# -O0, because it halves the time of a mutant and no test depends on the optimisation.
compile_as() {
  local command
  command=$(grep -m1 -F -- " -c $PWD/$2" "$build/mutants/compile")
  [[ -n $command ]] || { echo "nothing compiles $2"; return 1; }
  command=$(sed -E "s# -O[123] # -O0 #; s# -I# -I$1/src -I$1/tools -I#; s# -o [^ ]+# -o $1/${2//\//_}.o#; s# -MF [^ ]+# -MF $1/mutant.d#; s# -c [^ ]+# -Wno-error -c $3#" <<<"$command")
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

# Links the test program $2 with the mutant, to $1/$2. The mutant comes before all other objects, because the
# linker keeps the first copy of an inline function, and the test may have a copy of its own.
link() {
  local command
  command=$(tail -n 1 "$build/mutants/link.$2")
  command=$(sed -E "s# -o [^ ]+# -o $1/$2#; s# ([^ ]*\.dir/[^ ]*\.o)# $1/*.o \1#" <<<"$command")
  (cd "$build" && eval "$command")
}

# Links the command tern with the mutant $2, to $1/bin, beside the other programs.
link_command() {
  local command object
  command=$(tail -n 1 "$build/mutants/link.tern_command")
  for object in "$1"/*.o; do
    object=${object##*/tools_}   # connect_run.cc.o
    object=$(sed -nE "s# ?[^ ]*tern_command\.dir/([^ ]*)#\n\1\n#gp" <<<"$command" |
      awk -v flat="$object" '{ name = $0; gsub("/", "_", name); if (name == flat) print }')
    [[ $object ]] || { echo "the command does not link $1"; return 1; }
    command=$(sed -E "s# [^ ]*tern_command\.dir/$object# $1/tools_${object//\//_}#" <<<"$command")
  done
  mkdir "$1/bin" && ln -s "$build"/bin/* "$1/bin" && rm -f "$1/bin/tern" || return 1
  command=$(sed -E "s# -o [^ ]+# -o $1/bin/tern#" <<<"$command")
  (cd "$build" && eval "$command")
}

# One mutant: a line "<verdict> <name> <seconds> <details>" on standard output.
try() {
  local name=$1 began=$SECONDS slot file test program failure programs=()
  slot=$build/mutants/$name
  rm -rf "$slot" && mkdir -p "$slot"
  verdict() { echo "$1 $name $((SECONDS - began)) ${*:2}"; }
  file=$(file_of "$name")
  mkdir -p "$slot/${file%/*}"
  [[ $file != tools/* ]] || programs=("$slot/bin")
  if ! apply "$name" "$slot/$file" >"$slot/log" 2>&1; then
    verdict BAD "does not apply to $file any more: $slot/log"
  elif ! compile "$slot" "$file" >>"$slot/log" 2>&1; then
    verdict BAD "does not compile: $slot/log"
  elif [[ $file == tools/* ]] && ! link_command "$slot" >>"$slot/log" 2>&1; then
    verdict BAD "the command does not link: $slot/log"
  else
    for test in $(head_of "$name" "caught by"); do
      program=$slot/$test
      if [[ $file == tools/* ]]; then
        program=$build/tests/$test
      elif ! link "$slot" "$test" >>"$slot/log" 2>&1; then
        verdict BAD "$test does not link: $slot/log"
        return
      fi
      if ! failure=$(passes "$program" $((60 + 10 * $(<"$build/mutants/took.$test"))) \
        "${programs[@]}"); then
        verdict caught "$test: $failure"
        rm -rf "$slot"
        return
      fi
    done
    verdict SURVIVED "$(head_of "$name" breaks)"
  fi
}

check_only=
if [[ ${1:-} == --check ]]; then
  check_only=1
else
  build=$(realpath "${1:-build}")
fi
if [[ ${2:-} == --try ]]; then
  try "$3"
  exit
fi
all=("${@:2}")
((${#all[@]})) || all=("$patches"/*.patch)
all=("${all[@]##*/}")
all=("${all[@]%.patch}")

# A patch that does not apply tests nothing, so it is a failure with its name. The others still run.
names=()
bad=()
for name in "${all[@]}"; do
  complaint=$(complaint_of "$name")
  if [[ $complaint ]]; then
    bad+=("$(printf '%-42s %4s  BAD: %s' "$name" - "$complaint")")
  else
    names+=("$name")
  fi
done
if [[ $check_only ]] || ((${#names[@]} == 0)); then
  ((${#bad[@]} == 0)) || printf '%s\n' "${bad[@]}"
  echo "${#all[@]} mutants, ${#bad[@]} that do not apply or are no mutants"
  ((${#bad[@]} == 0))
  exit
fi

mkdir -p "$build/mutants"
commands_for all >"$build/mutants/compile"
commands_for tern_command >"$build/mutants/link.tern_command"
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
((${#bad[@]} == 0)) || printf '%s\n' "${bad[@]}"
echo "${#all[@]} mutants, $caught caught, $((${#names[@]} - caught)) not caught," \
  "${#bad[@]} that do not apply, $SECONDS s"
((caught == ${#all[@]}))
