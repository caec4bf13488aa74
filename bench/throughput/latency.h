// How long replies took to come.
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

/// Counts durations in buckets, 64 for each power of two: what is read back is off by less than 1
/// %, from a nanosecond to a quarter of an hour.
class Latencies {
 public:
  /// Longer than the buckets reach counts as the longest, in max() as it is; below 0 as 0.
  void add(std::chrono::nanoseconds latency) noexcept;
  void clear() noexcept { *this = {}; }

  std::uint64_t count() const noexcept { return count_; }
  /// The least that so many of a thousand did not exceed: 500 asks for the median. 0 of nothing.
  std::chrono::nanoseconds percentile(unsigned per_mille) const noexcept;
  /// Exactly.
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

/// When the messages in flight on one connection were sent; replies come in the same order.
class SendTimes {
 public:
  /// Room for so many.
  explicit SendTimes(std::size_t messages) : times_(messages) {}

  void push(Clock::time_point at, std::size_t messages) noexcept;
  /// Of the oldest one, which is in flight no more.
  Clock::time_point pop() noexcept;

 private:
  std::vector<Clock::time_point> times_;
  std::size_t first_ = 0;
  std::size_t next_ = 0;
};

}  // namespace tern::bench
