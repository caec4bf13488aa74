// The one addition of times that saturates.
#include "base/later.h"

#include <chrono>
#include <gtest/gtest.h>

namespace tern::base {
namespace {

using namespace std::chrono_literals;
using TimePoint = std::chrono::steady_clock::time_point;

TEST(Later, AddsInsideTheRange) {
  constexpr TimePoint from{5s};
  static_assert(later(from, 2s) == TimePoint(7s));
  EXPECT_EQ(later(from, 0s), from);
  EXPECT_EQ(later(from, -2s), TimePoint(3s));
  EXPECT_EQ(later(TimePoint::max() - 1ns, 1ns), TimePoint::max());
}

TEST(Later, SaturatesBeyondTheRange) {
  EXPECT_EQ(later(TimePoint(1ns), std::chrono::nanoseconds::max()), TimePoint::max());
  EXPECT_EQ(later(TimePoint::max(), 1ns), TimePoint::max());
  EXPECT_EQ(later(TimePoint::max(), std::chrono::nanoseconds::max()), TimePoint::max());
}

}  // namespace
}  // namespace tern::base
