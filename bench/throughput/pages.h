// Pages of HTTP beside nginx.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// `pages` of the command line: loads tern_pages and nginx with wrk, in turn, and compares the
/// requests for each second of CPU. Throws std::runtime_error and std::system_error.
int run_pages(const CompareOptions& options);

}  // namespace tern::bench
