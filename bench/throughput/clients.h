// Compares the load that clients of tern and of other libraries can put on a server.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// Runs the command `tern-bench clients`. It uses the options repetitions, duration, only, realtime
/// and json. Throws std::runtime_error or std::system_error when a client of tern or the raw echo
/// server fails; the client of a rival that fails is left out.
int run_clients(const CompareOptions& options);

}  // namespace tern::bench
