// The counts of one worker. Only its own thread writes them, and any thread reads them. So relaxed
// loads and stores are enough, and no instruction locks the bus.
#pragma once

#include "tern/close.h"
#include "tern/observe.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

namespace tern::connection {

/// A number that one thread writes and any thread reads.
class Count {
 public:
  void add(std::uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  /// Like add(). A thread that reads this addition by get_first() also reads all earlier ones of
  /// other counts.
  void add_last() noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  std::uint64_t get_first() const noexcept { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A histogram of times.
class Times {
 public:
  /// Upper bounds in microseconds. Longer times have a count of their own.
  static constexpr std::array<std::uint64_t, 12> bounds{
      100, 250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 1'000'000};

  /// The number of times up to each bound, as Counters has them.
  using Histogram = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  void add(std::chrono::nanoseconds time) noexcept;
  void add_to(Histogram& histogram, std::uint64_t& microseconds) const;

 private:
  std::array<Count, bounds.size() + 1> counts_{};
  Count nanoseconds_{};
};

class Metrics {
 public:
  Count connections_begun{};
  Count connections_ended{};
  Count connections_rejected{};
  Count connections_limited{};
  Count upgrades_limited{};
  Count upgrades{};
  Count responses{};
  Count messages_received{};
  Count messages_sent{};
  Count bytes_received{};
  Count bytes_sent{};
  Count accept_pauses{};
  Count topic_subscriptions_begun{};
  Count topic_subscriptions_ended{};
  Count topic_deliveries{};
  Count topic_conflated{};
  Count topic_skipped{};
  Count topic_recovered{};
  Count topic_recover_failed{};
  Times topic_fanout{};
  Times topic_slices{};

  /// Counts the end of a WebSocket connection.
  void closed(CloseCode code) noexcept;
  /// Counts a handshake that failed. An error of the system counts as connection_reset.
  void refused(std::error_code why) noexcept;
  /// Adds all counts to `total`. Thread: any. Throws std::bad_alloc.
  void add_to(Counters& total) const;

 private:
  void add_topics_to(Counters& total) const;

  static constexpr std::size_t named_codes = 16;  // 1000 to 1015; all others share one count
  static constexpr std::size_t max_errc = 128;

  std::array<Count, named_codes + 1> closes_{};
  std::array<Count, max_errc> refusals_{};
};

}  // namespace tern::connection
