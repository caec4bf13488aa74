// The memory of an idle connection.
#pragma once

#include <cstddef>
#include <string>
#include <sys/types.h>

namespace tern::bench {

struct IdleOptions {
  std::string url{};
  std::size_t connections = 8'000;  ///< beyond the base
  std::size_t base = 2'000;
  std::size_t size = 125;  ///< of the one echo on each
  pid_t server = 0;
};

/// `idle` of the command line. Throws as run_load().
int print_idle(const IdleOptions& options, bool json);

}  // namespace tern::bench
