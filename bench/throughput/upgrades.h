// A load of connections that connect, upgrade and close.
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
  pid_t server = 0;       ///< measure the CPU time of this process; 0: none
  bool progress = false;  ///< show the progress on a terminal
};

struct UpgradesResult {
  std::uint64_t upgrades = 0;
  double seconds = 0;
  double client_busy = 0;  ///< share of the time; at 1 the client was the limit
  double server_busy = 0;  ///< cores; 0 when not measured
  double per_second() const noexcept { return static_cast<double>(upgrades) / seconds; }
  /// Microseconds of the server's CPU time for one upgrade.
  double server_us_each() const noexcept {
    return server_busy * seconds * 1e6 / static_cast<double>(upgrades);
  }
};

/// Throws as run_load().
UpgradesResult run_upgrades(const UpgradesOptions& options);

/// `upgrades` of the command line.
int print_upgrades(const UpgradesOptions& options, bool json);

}  // namespace tern::bench
