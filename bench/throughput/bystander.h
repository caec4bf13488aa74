// A client that asks for a small echo every two milliseconds, whether the last one came or not.
#pragma once

#include "throughput/latency.h"
#include "throughput/upgrade.h"
#include "throughput/wire.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::bench {

/// What it saw.
struct Wait {
  LatencySummary latency{};
  std::uint64_t answers = 0;
  bool starved = false;  ///< some did not come within Bystander::patience
};

class Bystander {
 public:
  static constexpr std::chrono::milliseconds every{2};
  static constexpr std::chrono::seconds patience{20};

  /// Connects. Throws as connect_and_upgrade().
  explicit Bystander(Target target);

  /// Asks for so long, then waits for the answers. Questions do not wait for answers, because a
  /// server that halts for a second would spoil one answer only. One that does not come counts as
  /// long as it was waited for. Throws std::runtime_error when the server ends the connection or
  /// answers something else.
  Wait watch(Seconds duration);

 private:
  void ask();
  std::size_t receive();
  void await(Clock::time_point until) const;

  Target target_;
  Wire wire_;
  std::vector<std::byte> question_;
  std::vector<std::byte> answer_;
  std::vector<std::byte> got_;
  std::size_t got_bytes_ = 0;  // of the answer that is coming
};

}  // namespace tern::bench
