// Compares the load that clients of tern and of other libraries can put on a server.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `clients` of the command line. It uses the options repetitions, duration, only, realtime and
/// json. Throws as a tern client and as the start of the ceiling.
int run_clients(const CompareOptions& options);

}  // namespace tern::bench
