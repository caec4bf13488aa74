// Measures topics that a bridge shares between processes.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// Runs the command `tern-bench bridge`, with nats-server and redis-server where they are
/// installed. `servers`: one path of tern_bridge. Throws as run_compare().
int run_bridge(const CompareOptions& options);

}  // namespace tern::bench
