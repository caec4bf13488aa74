// A server against the raw epoll echo, and against others, in the same run.
#pragma once

#include "throughput/system.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

struct CompareOptions {
  std::size_t repetitions = 5;
  Seconds duration{0.4};
  std::vector<std::string> servers{};  ///< paths of echo_server; none: the one beside this program
  std::string only{};                  ///< workloads whose name contains this
  std::string chart{};                 ///< where to write the picture; empty: nowhere
  bool rivals = true;                  ///< those that stand beside this program take part
  bool control = false;                ///< the raw echo under another name, too: it shows the noise
  bool realtime = false;               ///< servers and load before everything else on the machine
  bool first = false;  ///< the same by nice value, which the system does not throttle
  bool json = false;
};

/// Whether --only lets the row of this name through.
inline bool is_wanted(std::string_view row, const CompareOptions& options) noexcept {
  return row.find(options.only) != std::string_view::npos;
}

/// Fills in the servers, binds this process to its core, and raises its priority and limits as far
/// as it may; says on stderr what it may not. Returns how many descriptors it may open.
std::size_t prepare(CompareOptions& options);

/// `compare` of the command line. Throws as run_load() and ServerProcess.
int run_compare(const CompareOptions& options);

}  // namespace tern::bench
