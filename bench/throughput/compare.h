// Compares a server with the raw epoll echo and with other servers in the same run.
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
  std::string chart{};                 ///< the file for the chart; empty: none
  bool rivals = true;                  ///< include rivals that are beside this program
  bool control = false;                ///< add the raw echo a second time, to show the noise
  bool realtime = false;               ///< real-time priority for servers and load
  bool first = false;  ///< a nice value instead, because the system does not throttle it
  bool json = false;
};

/// Whether --only selects the row of this name.
inline bool is_wanted(std::string_view row, const CompareOptions& options) noexcept {
  return row.find(options.only) != std::string_view::npos;
}

/// Fills in the servers, binds this process to its core, and raises its priority and limits as far
/// as it may. It prints to stderr what it may not raise. Returns the number of descriptors it may
/// open.
std::size_t prepare(CompareOptions& options);

/// Runs the command `tern-bench compare`. Throws as run_load() and ServerProcess.
int run_compare(const CompareOptions& options);

}  // namespace tern::bench
