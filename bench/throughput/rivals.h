// The server beside those on other libraries, where a raw epoll echo is no measure: TLS,
// compression.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// The second half of `compare`: takes in the peers that stand beside this program (make
/// bench-peers), or the server alone. Pins and ranks as run_compare() does. Throws as that does.
void run_rivals(const CompareOptions& options);

}  // namespace tern::bench
