// The time until a reply arrives.
#pragma once

#include "throughput/system.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::bench {

struct LatencySummary {
  std::chrono::nanoseconds p50{};
  std::chrono::nanoseconds p90{};
  std::chrono::nanoseconds p99{};
  std::chrono::nanoseconds p99_9{};
  std::chrono::nanoseconds max{};
};

/// Counts durations in buckets, 64 for each power of two. So the error of a percentile is below 1
/// %, from a nanosecond to a quarter of an hour.
class Latencies {
 public:
  /// A duration beyond the last bucket counts there, and max() is still exact. Below 0 counts as 0.
  void add(std::chrono::nanoseconds latency) noexcept;
  void clear() noexcept { *this = {}; }

  std::uint64_t count() const noexcept { return count_; }
  /// The smallest duration that `per_mille` of a thousand do not exceed; 500 is the median. 0 if
  /// there are none.
  std::chrono::nanoseconds percentile(unsigned per_mille) const noexcept;
  /// The longest duration, exactly.
  std::chrono::nanoseconds max() const noexcept { return std::chrono::nanoseconds(max_); }
  LatencySummary summary() const noexcept {
    return {percentile(500), percentile(900), percentile(990), percentile(999), max()};
  }

 private:
  static constexpr unsigned sub_bits = 6;
  static constexpr unsigned value_bits = 40;
  static constexpr std::size_t buckets = std::size_t{value_bits - sub_bits + 1} << sub_bits;

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t middle_of(std::size_t bucket) noexcept;

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

/// The send times of the messages in flight on one connection. Replies come in the same order.
class SendTimes {
 public:
  /// Has room for `messages` times.
  explicit SendTimes(std::size_t messages) : times_(messages) {}

  void push(Clock::time_point at, std::size_t messages) noexcept;
  /// Removes and returns the time of the oldest message.
  Clock::time_point pop() noexcept;

 private:
  std::vector<Clock::time_point> times_;
  std::size_t first_ = 0;
  std::size_t next_ = 0;
};

}  // namespace tern::bench
