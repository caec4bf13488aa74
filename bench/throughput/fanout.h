// Compares the cost of a fan-out: of one message that goes to many subscribers.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// Runs the command `tern-bench fanout`. `servers` are paths of tern_fanout. Throws as
/// run_compare().
int run_fanout(const CompareOptions& options);

}  // namespace tern::bench
