#!/usr/bin/env bash
# scripts/bench.sh BUILD: runs what BUILD/bin holds of the benchmarks, the small ones first, then
# echo_server beside a raw epoll echo under load. Ends within five minutes: 340 small ones take a
# good minute, the load less than two; rivals, where they are built, would take five alone.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

for source in bench/micro_*.cc; do
  [[ -e $source ]] || continue
  "$build/bin/$(basename "$source" .cc)" --benchmark_min_time=0.1
done
[[ ! -d bench/throughput ]] || "$build/bin/tern-bench" compare --no-rivals
