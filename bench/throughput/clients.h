// Clients side by side: what load a tern client can put on a server, beside other libraries'.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `clients` of the command line; of the options it takes repetitions, duration, only, realtime and
/// json. Throws what a tern client throws, and the start of the ceiling.
int run_clients(const CompareOptions& options);

}  // namespace tern::bench
