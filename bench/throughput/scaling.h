// The cost of a message and of a connection with more connections, and with two loops.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `scaling` of the command line. Its options are those of a comparison, without a chart. Throws as
/// run_compare().
int run_scaling(const CompareOptions& options);

}  // namespace tern::bench
