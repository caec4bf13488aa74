// Prints the result of a load, for people or as JSON.
#pragma once

#include "throughput/load.h"

namespace tern::bench {

/// `load` of the command line. Throws as run_load().
int print_load(const LoadOptions& options, bool json);

}  // namespace tern::bench
