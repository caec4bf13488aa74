#!/usr/bin/env bash
# scripts/bench.sh BUILD: runs the benchmarks in BUILD/bin. The small ones run first, then echo_server
# beside a raw epoll echo under load. All of it takes less than five minutes: the 340 small ones take
# more than a minute, the load less than two. The rivals are left out, because they take five more.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

for source in bench/micro_*.cc; do
  [[ -e $source ]] || continue
  "$build/bin/$(basename "$source" .cc)" --benchmark_min_time=0.1
done
[[ ! -d bench/throughput ]] || "$build/bin/tern-bench" compare --no-rivals
