// A server against the raw epoll echo, and against others, in the same run.
#pragma once

#include "throughput/system.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tern::bench {

struct CompareOptions {
  std::size_t repetitions = 5;
  Seconds duration{0.4};
  std::vector<std::string> servers{};  ///< paths of echo_server; none: the one beside this program
  std::string only{};                  ///< workloads whose name contains this
  std::string chart{};                 ///< where to write the picture; empty: nowhere
  bool control = false;                ///< the raw echo under another name, too: it shows the noise
  bool realtime = false;               ///< servers and load before everything else on the machine
  bool json = false;
};

/// `compare` of the command line. Throws as run_load() and ServerProcess.
int run_compare(const CompareOptions& options);

}  // namespace tern::bench
