#!/usr/bin/env bash
# `make guard`: counts the instructions and the system calls of BUILD/bin/echo_server, of a client on
# a loop (BUILD/bin/guard_echo_client) and of a fan-out (guard_topics) for each message, and compares them with
# bench/guard/figures.txt. Callgrind counts them, so other work on the machine changes no figure. Their
# peers, bench/guard/guard_client.cc and guard_server.cc, make the figures independent of time.
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
# The server and the client each enter one of these functions once for each connection. There callgrind
# starts a new count.
boundary='tern::server::Listener::on_ready*'
client_boundary='tern::bench::(anonymous namespace)::Clients::begin_count*'
# The third program enters this function for each part, and only its slices of a fan-out count.
topics_boundary='tern::bench::(anonymous namespace)::begin_count*'
topics_counted='tern::connection::Fanout::slice*'

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

# count NAME BOUNDARY PROGRAM…: runs the program; its counts are $work/NAME.1 and so on.
count() {
  exec valgrind --tool=callgrind --collect-systime=yes --vgdb=no --log-file="$work/$1.valgrind" \
    --callgrind-out-file="$work/$1" --dump-before="$2" "${@:3}"
}

# rows NAME: prints the rows of a program, by its plan. NAME.1 is the start and NAME.2 the first
# connection. The count of the last connection ends with the program.
rows() {
  local connections counted
  connections=$(wc -l <"$work/$1-plan")
  [[ $(find "$work" -regex ".*/$1\.[0-9]+" | wc -l) == "$connections" ]] ||
    fail "the boundary of $1 was not entered once for each of $connections connections"
  mapfile -t counted < <(seq -f "$work/$1.%.0f" 2 "$connections")
  awk -f bench/guard/count.awk "$work/$1-plan" "${counted[@]}"
}

rm -rf "$work" && mkdir -p "$work" && mkfifo "$work/said" "$work/peer-said" || exit
count server "$boundary" "$build/bin/echo_server" --port 0 --idle-timeout 3600 \
  --handshake-timeout 3600 >"$work/said" &
server=$!
trap 'kill "$server" 2>/dev/null' EXIT
exec {said}<"$work/said"
read -r -t 300 -u "$said" _ _ url || fail "the server does not start, see $work/server.valgrind"
"$build/bin/guard_client" "$url" >"$work/server-plan" || fail "the client failed"
kill -TERM "$server"
wait "$server" || fail "the server failed, see $work/server.valgrind"

"$build/bin/guard_server" >"$work/peer-said" &
server=$!
exec {said}<"$work/peer-said"
read -r -t 300 -u "$said" url || fail "guard_server does not start"
cat <&"$said" >"$work/client-plan" &
plan=$!
(count client "$client_boundary" "$build/bin/guard_echo_client" "$url") ||
  fail "the client failed, see $work/client.valgrind"
kill -TERM "$server"
wait "$server" || fail "guard_server failed"
wait "$plan"
trap - EXIT

# Without this cache, free() joins neighbours. Which of them are free differs from run to run, by 3
# instructions of a delivery.
(GLIBC_TUNABLES=glibc.malloc.tcache_count=1000 \
  count topics "$topics_boundary" --toggle-collect="$topics_counted" "$build/bin/guard_topics") \
  >"$work/topics-plan" || fail "the fan-out failed, see $work/topics.valgrind"

{ rows server && rows client && rows topics; } >"$work/rows" || fail "a row is not complete"
[[ -s $work/rows ]] || fail "nothing was counted"
{
  echo "# Cost of one echoed message (<kind>-<bytes>x<messages in flight>) or one upgrade: instructions of"
  echo "# the server or, in the rows client-…, of a client on a loop; in the rows delivery-…, of a delivery"
  echo "# to a subscriber at rest; calls of recv, send, epoll_wait;"
  echo "# other system calls; clock_gettime, which is a system call under valgrind only."
  echo "# Written by: make guard RENEW=1"
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
  echo "guard: to find the instructions: callgrind_annotate $work/server.N (connection N - 1 of $work/server-plan)"
  echo "guard: if the change is intended: make guard RENEW=1, and commit $committed with the reason"
  exit 1
fi
