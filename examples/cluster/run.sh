#!/usr/bin/env bash
# examples/cluster/run.sh [redis|nats]: starts a broker, three hubs, and HAProxy in front of them on one port.
# Ctrl-C ends all of it. A part that is killed starts again after AGAIN seconds.
#   BUILD  the folder of the build (build)
#   PORT   of the page (9003); the hubs have the next three ports, and the broker the fourth
#   AGAIN  seconds (5)
set -euo pipefail
cd "$(dirname "$0")/../.."
broker=${1:-redis}
build=${BUILD:-build}
port=${PORT:-9003}
again=${AGAIN:-5}
export PATH=$PATH:/usr/sbin   # where Debian has haproxy and nats-server

broker_port=$((port + 4))
case $broker in
  redis) flags=(--redis "redis://127.0.0.1:$broker_port" --durable) ;;
  nats) flags=(--nats "nats://127.0.0.1:$broker_port") ;;
  *) echo "usage: $0 [redis|nats]" >&2; exit 2 ;;
esac
for program in "$build/bin/hub" haproxy "$broker-server"; do
  command -v "$program" >/dev/null || { echo "$0: $program is missing; make run-cluster installs and builds it" >&2; exit 1; }
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/tern-cluster-XXXXXX")
export PORT=$port
for number in 1 2 3; do export "HUB_$number=127.0.0.1:$((port + number))"; done

# The command of a part.
command_of() {
  case $1 in
    redis) command=(redis-server --port "$broker_port" --bind 127.0.0.1 --dir "$folder" --appendonly yes --save "") ;;
    nats) command=(nats-server --addr 127.0.0.1 --port "$broker_port") ;;
    haproxy) command=(haproxy -db -f examples/cluster/haproxy.cfg) ;;
    hub-*) command=("$build/bin/hub" --name "$1" --port "$((port + ${1#hub-}))" --trusted-proxy 127.0.0.1 "${flags[@]}") ;;
  esac
}

declare -A process=() name=()   # by the name; by the process

# Each part has a process group of its own, so that Ctrl-C reaches only this script, which ends the parts in order.
# The kernel ends a part if this script is killed.
set -m
start() {
  command_of "$1"
  setpriv --pdeathsig TERM "${command[@]}" >>"$folder/$1.log" 2>&1 &
  process[$1]=$!
  name[$!]=$1
}

end() {
  trap '' INT TERM HUP
  for parts in "haproxy hub-1 hub-2 hub-3" "$broker"; do
    for part in $parts; do kill -TERM "${process[$part]:-}" 2>/dev/null || true; done
    for part in $parts; do wait "${process[$part]:-}" 2>/dev/null || true; done
  done
  rm -rf "$folder"
}
trap end EXIT
trap 'echo; exit 0' INT TERM HUP

# Waits until something listens on a port, or the part has ended.
wait_for() {
  until (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; do
    kill -0 "${process[$1]}" 2>/dev/null || { echo "$0: $1 has ended:" >&2; cat "$folder/$1.log" >&2; exit 1; }
    sleep 0.05
  done
}

start "$broker"
wait_for "$broker" "$broker_port"
for number in 1 2 3; do start "hub-$number"; done
for number in 1 2 3; do wait_for "hub-$number" "$((port + number))"; done
start haproxy
wait_for haproxy "$port"

for number in 1 2 3; do
  echo "hub-$number at http://127.0.0.1:$((port + number))/, to kill it: kill -9 ${process[hub-$number]}"
done
echo "$broker at 127.0.0.1:$broker_port, to kill it: kill -9 ${process[$broker]}"
echo "logs in $folder"
echo "page at http://localhost:$port/ (Ctrl-C ends all)"

while true; do
  wait -n -p ended 2>/dev/null || true
  [[ -n ${ended:-} && -v name[$ended] ]] || continue
  part=${name[$ended]}
  unset "name[$ended]" "process[$part]"
  echo "$part (process $ended) has ended, and starts again in $again s"
  setpriv --pdeathsig TERM sleep "$again" >/dev/null 2>&1 & wait $! || true
  start "$part"
  echo "$part runs again, to kill it: kill -9 ${process[$part]}"
done
