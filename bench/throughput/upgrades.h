// Connections that come, upgrade and go.
#pragma once

#include "throughput/system.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace tern::bench {

struct UpgradesOptions {
  std::string url{};
  std::size_t in_flight = 64;
  Seconds warm_up{0.1};
  Seconds duration{1.0};
  pid_t server = 0;  ///< whose CPU time to measure; 0: nobody's
};

struct UpgradesResult {
  std::uint64_t upgrades = 0;
  double seconds = 0;
  double server_busy = 0;  ///< cores
};

/// Throws as run_load().
UpgradesResult run_upgrades(const UpgradesOptions& options);

/// `upgrades` of the command line.
int print_upgrades(const UpgradesOptions& options, bool json);

}  // namespace tern::bench
