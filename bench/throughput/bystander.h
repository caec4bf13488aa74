// A client that sends a small message every two milliseconds, whether the last echo came or not.
#pragma once

#include "throughput/latency.h"
#include "throughput/upgrade.h"
#include "throughput/wire.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::bench {

/// The waiting times of a bystander.
struct Wait {
  LatencySummary latency{};
  std::uint64_t answers = 0;
  bool starved = false;  ///< an answer did not come within Bystander::patience
};

class Bystander {
 public:
  static constexpr std::chrono::milliseconds every{2};
  static constexpr std::chrono::seconds patience{20};

  /// Connects. Throws as connect_and_upgrade().
  explicit Bystander(Target target);

  /// Asks for `duration`, then waits for the answers. A question does not wait for the last answer:
  /// otherwise a server that stops for a second would delay one answer only. An answer that does
  /// not come counts with the time that watch() waited for it. Throws std::runtime_error when the
  /// server ends the connection or sends a wrong answer.
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
  std::size_t got_bytes_ = 0;  // of the next answer
};

}  // namespace tern::bench
