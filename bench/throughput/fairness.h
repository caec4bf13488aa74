// The effect of one peer's traffic on all others: the latency of a bystander and the memory of the
// server, under each attack.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `fairness` of the command line. It uses these options: servers, rivals, only (attacks whose name
/// contains this), duration and json. Throws as Bystander and ServerProcess.
int run_fairness(const CompareOptions& options);

}  // namespace tern::bench
