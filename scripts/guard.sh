#!/usr/bin/env bash
# `make guard`: counts the instructions and the system calls of BUILD/bin/echo_server for each message,
# and compares both with bench/guard/figures.txt. Callgrind counts them, so other work on the machine
# changes no figure. bench/guard/guard_client.cc makes the figures independent of time.
#   scripts/guard.sh [build directory] [--renew]     (`make guard` builds it first)
# It fails when instructions differ by more than 3 % or a system call by more than 0.01 a message. It
# also fails when they become fewer: if a figure is too high, a later loss of the same size passes. With
# --renew the script replaces the figures; read the change and commit it.
# Instructions are compared only with the compiler, processor and C library of the committed figures.
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
# The server enters this function once for each connection. There callgrind starts a new count.
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
# Valgrind simulates a processor that lacks some features of the real one, so guard_client prints the
# SIMD level that tern detects under valgrind.
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

# counted.1 is the start and counted.2 the first connection. The count of the last one ends with the
# server.
connections=$(wc -l <"$work/plan")
[[ $(find "$work" -name 'counted.*' | wc -l) == "$connections" ]] ||
  fail "$boundary was not entered once for each of $connections connections"

mapfile -t counted < <(seq -f "$work/counted.%.0f" 2 "$connections")
awk -f bench/guard/count.awk "$work/plan" "${counted[@]}" >"$work/rows" &&
  [[ -s $work/rows ]] || fail "nothing was counted"
{
  echo "# Cost of one echoed message (<kind>-<bytes>x<messages in flight>) or one upgrade: instructions of"
  echo "# the server; its calls of recv, send, epoll_wait; other system calls; clock_gettime, which is a"
  echo "# system call under valgrind only. Written by: make guard RENEW=1"
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
  echo "guard: so only system calls are compared; instructions are shown"
fi
if awk -v comparable=$comparable -f bench/guard/compare.awk "$committed" "$work/figures.txt"; then
  echo "guard: passed in $SECONDS s"
else
  echo "guard: to find the instructions: callgrind_annotate $work/counted.N (connection N - 1 of $work/plan)"
  echo "guard: if the change is intended: make guard RENEW=1, and commit $committed with the reason"
  exit 1
fi
