// Adds times without overflow, because the options allow limits of any length.
#pragma once

#include <chrono>

namespace tern::base {

/// Returns the time that is `by` later than `from`, or time_point::max() if no time_point can hold
/// it. A negative `by` gives an earlier time.
constexpr std::chrono::steady_clock::time_point later(std::chrono::steady_clock::time_point from,
                                                      std::chrono::nanoseconds by) noexcept {
  using TimePoint = std::chrono::steady_clock::time_point;
  TimePoint::rep sum = 0;
  if (__builtin_add_overflow(from.time_since_epoch().count(), by.count(), &sum)) {
    return TimePoint::max();
  }
  return TimePoint(TimePoint::duration(sum));
}

}  // namespace tern::base
