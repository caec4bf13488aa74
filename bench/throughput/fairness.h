// What one peer's traffic does to all others: the latency of a bystander and the memory of the
// server, under each attack.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `fairness` of the command line: of CompareOptions the servers, the rivals, --only (attacks whose
/// name contains this), the duration and JSON. Throws as Bystander and ServerProcess.
int run_fairness(const CompareOptions& options);

}  // namespace tern::bench
