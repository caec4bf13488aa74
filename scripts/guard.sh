#!/usr/bin/env bash
# `make guard`: counts the instructions that BUILD/bin/echo_server executes for each message, and its
# system calls, and compares both with bench/guard/figures.txt. Callgrind counts, so no other work on
# the machine changes a figure; bench/guard/guard_client.cc sees to it that time does not either.
#   scripts/guard.sh [build directory] [--renew]     (built: `make guard` sees to that)
# It fails when instructions differ by more than 3 % or a system call by more than 0.01 a message,
# also for the better: with a figure that is too high a later loss of the same size would pass. With
# --renew what was counted takes the figures' place, to be read and committed.
# Instructions are compared where the compiler, the processor and the C library are the figures'.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=build
renew=
for argument; do
  case $argument in
    --renew) renew=1 ;;
    *) build=$argument ;;
  esac
done
committed=bench/guard/figures.txt
work=$build/guard
# Entered once for each connection: there callgrind starts to count anew.
boundary='tern::server::Listener::on_ready*'

fail() {
  echo "guard: $*" >&2
  exit 1
}
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
compiler() {
  cat "$build"/CMakeFiles/*/CMakeCXXCompiler.cmake |
    sed -n "s/^set(CMAKE_CXX_COMPILER_$1 \"\(.*\)\")/\1/p" | tail -n 1
}

[[ $(cached CMAKE_BUILD_TYPE) == Release && -z $(cached TERN_SANITIZE) ]] ||
  fail "$build is not a Release build"
flags=$(cached CMAKE_CXX_FLAGS)
version=$(compiler VERSION)
# What callgrind runs on is a processor of valgrind's making, not quite that of the machine.
simd=$(valgrind --tool=none --log-file=/dev/null "$build/bin/guard_client" --simd) || fail "valgrind does not run"
here="$(compiler ID) ${version%%.*}, $(uname -m), $simd, $(getconf GNU_LIBC_VERSION)${flags:+, $flags}"

rm -rf "$work" && mkdir -p "$work" && mkfifo "$work/said" || exit
valgrind --tool=callgrind --collect-systime=yes --vgdb=no --log-file="$work/valgrind.log" \
  --callgrind-out-file="$work/counted" --dump-before="$boundary" \
  "$build/bin/echo_server" --port 0 --idle-timeout 3600 --handshake-timeout 3600 >"$work/said" &
server=$!
trap 'kill "$server" 2>/dev/null' EXIT
exec {said}<"$work/said"
read -r -t 300 -u "$said" _ _ url || fail "the server does not start, see $work/valgrind.log"
"$build/bin/guard_client" "$url" >"$work/plan" || fail "the client failed"
kill -TERM "$server"
wait "$server" || fail "the server failed, see $work/valgrind.log"
trap - EXIT

# counted.1 is the start, counted.2 the first connection; that of the last ends with the server.
connections=$(wc -l <"$work/plan")
[[ $(find "$work" -name 'counted.*' | wc -l) == "$connections" ]] ||
  fail "$boundary was not entered once for each of $connections connections"

mapfile -t counted < <(seq -f "$work/counted.%.0f" 2 "$connections")
awk -f bench/guard/count.awk "$work/plan" "${counted[@]}" >"$work/rows" &&
  [[ -s $work/rows ]] || fail "nothing was counted"
{
  echo "# Of one echoed message (<kind>-<bytes>x<messages in flight>), or one upgrade: instructions of"
  echo "# the server; its calls recv, send, epoll_wait, others of the system; clock_gettime, which is one"
  echo "# of the system under valgrind only. Written by: make guard RENEW=1"
  echo "# for: $here"
  cat "$work/rows"
} >"$work/figures.txt"

if [[ $renew ]]; then
  cp "$work/figures.txt" "$committed"
  cat "$committed"
  exit 0
fi
there=$(sed -n 's/^# for: //p' "$committed")
comparable=1
if [[ $here != "$there" ]]; then
  comparable=0
  echo "guard: the figures are for $there; this is $here:"
  echo "guard: instructions are shown and not judged, only system calls are"
fi
if awk -v comparable=$comparable -f bench/guard/compare.awk "$committed" "$work/figures.txt"; then
  echo "guard: passed in $SECONDS s"
else
  echo "guard: where they are: callgrind_annotate $work/counted.N, connection N - 1 of $work/plan"
  echo "guard: if it is meant to be so: make guard RENEW=1, and commit $committed with the reason"
  exit 1
fi
