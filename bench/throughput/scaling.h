// Measures how the cost of a message and of a connection changes with the number of connections,
// and with a second loop.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// Runs the command `tern-bench scaling`. Its options are those of a comparison, without a chart.
/// Throws as run_compare().
int run_scaling(const CompareOptions& options);

}  // namespace tern::bench
