// A bucket holds the values that agree in their leading 7 bits: the topmost one and 6 behind it. So
// below 128 every value has a bucket of its own. From there on the buckets of each power of two are
// twice as wide as those of the power before.
#include "throughput/latency.h"

#include <algorithm>
#include <bit>

namespace tern::bench {

std::size_t Latencies::bucket_of(std::uint64_t value) noexcept {
  value = std::min(value, (std::uint64_t{1} << value_bits) - 1);
  const unsigned bits = static_cast<unsigned>(std::bit_width(value));
  const unsigned dropped = bits > sub_bits + 1 ? bits - (sub_bits + 1) : 0;
  return (std::size_t{dropped} << sub_bits) + static_cast<std::size_t>(value >> dropped);
}

std::uint64_t Latencies::middle_of(std::size_t bucket) noexcept {
  const std::size_t octave = bucket >> sub_bits;
  const std::size_t dropped = octave > 1 ? octave - 1 : 0;
  const std::uint64_t least = std::uint64_t{bucket - (dropped << sub_bits)} << dropped;
  return least + (std::uint64_t{1} << dropped) / 2;
}

void Latencies::add(std::chrono::nanoseconds latency) noexcept {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  ++counts_[bucket_of(value)];
  ++count_;
  max_ = std::max(max_, value);
}

std::chrono::nanoseconds Latencies::percentile(unsigned per_mille) const noexcept {
  const std::uint64_t rank = std::max<std::uint64_t>((count_ * per_mille + 999) / 1000, 1);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) return std::chrono::nanoseconds(std::min(middle_of(bucket), max_));
  }
  return max();
}

void SendTimes::push(Clock::time_point at, std::size_t messages) noexcept {
  for (; messages > 0; --messages) {
    times_[next_] = at;
    next_ = next_ + 1 < times_.size() ? next_ + 1 : 0;
  }
}

Clock::time_point SendTimes::pop() noexcept {
  const Clock::time_point at = times_[first_];
  first_ = first_ + 1 < times_.size() ? first_ + 1 : 0;
  return at;
}

}  // namespace tern::bench
