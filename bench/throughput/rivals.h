// Compares the server with those of other libraries in rows where a raw epoll echo is no measure:
// TLS and compression.
#pragma once

#include "throughput/compare.h"

namespace tern::bench {

/// The second half of `compare`, with the same entrants. Throws as run_load(), and as the start of
/// a server.
void run_rivals(const CompareOptions& options);

}  // namespace tern::bench
