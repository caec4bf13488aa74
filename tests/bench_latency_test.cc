// The histogram of `tern-bench load --latency`, and the ring of send times.

#include "throughput/latency.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tern::bench::Latencies;
using tern::bench::SendTimes;
using At = tern::bench::Clock::time_point;

constexpr unsigned asked_for[] = {0, 1, 100, 500, 900, 990, 999, 1000};

// The percentile by the definition of percentile(), from all values.
std::int64_t exact_percentile(const std::vector<std::int64_t>& sorted, unsigned per_mille) {
  const std::size_t rank = std::max<std::size_t>((sorted.size() * per_mille + 999) / 1000, 1);
  return sorted[rank - 1];
}

void expect_within_a_percent(std::int64_t got, std::int64_t exact) {
  EXPECT_LE(std::abs(got - exact) * 100, exact) << got << " for " << exact;
}

TEST(Latencies, AnEmptyHistogramReportsZero) {
  const Latencies none;
  EXPECT_EQ(none.count(), 0u);
  EXPECT_EQ(none.percentile(500), 0ns);
  EXPECT_EQ(none.max(), 0ns);
}

TEST(Latencies, SmallLatenciesAreExact) {
  for (std::int64_t value = 0; value < 128; ++value) {
    Latencies latencies;
    latencies.add(nanoseconds(value));
    latencies.add(1h);  // so that `value` is not the longest one, which is always exact
    EXPECT_EQ(latencies.percentile(500).count(), value);
  }
}

TEST(Latencies, EachPowerOfTwoIsWithinAPercent) {
  for (unsigned bits = 7; bits < 40; ++bits) {
    const std::int64_t power = std::int64_t{1} << bits;
    for (const std::int64_t value : {power - 1, power, power + 1, power + power / 3}) {
      Latencies latencies;
      latencies.add(nanoseconds(value));
      latencies.add(1h);
      expect_within_a_percent(latencies.percentile(500).count(), value);
    }
  }
}

TEST(Latencies, PercentilesOfManyAreWithinAPercent) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> microseconds(10, 2);  // from 1 us to 100 ms
  Latencies latencies;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(static_cast<std::int64_t>(microseconds(random)));
    latencies.add(nanoseconds(values.back()));
  }
  std::ranges::sort(values);
  EXPECT_EQ(latencies.count(), values.size());
  EXPECT_EQ(latencies.max().count(), values.back());
  for (const unsigned per_mille : asked_for) {
    SCOPED_TRACE(per_mille);
    expect_within_a_percent(latencies.percentile(per_mille).count(),
                            exact_percentile(values, per_mille));
  }
}

TEST(Latencies, ARankIsRoundedUp) {
  Latencies latencies;
  for (int i = 1; i <= 10; ++i) latencies.add(nanoseconds(i));
  EXPECT_EQ(latencies.percentile(500), 5ns);
  EXPECT_EQ(latencies.percentile(501), 6ns);
  EXPECT_EQ(latencies.percentile(999), 10ns);
}

TEST(Latencies, NoPercentileIsAboveTheLongest) {
  Latencies latencies;
  latencies.add(1'000'000ns);
  for (const unsigned per_mille : asked_for) EXPECT_LE(latencies.percentile(per_mille), 1ms);
}

TEST(Latencies, LatenciesOutsideOfTheRangeCount) {
  Latencies latencies;
  latencies.add(-1ns);
  latencies.add(24h);
  EXPECT_EQ(latencies.count(), 2u);
  EXPECT_EQ(latencies.percentile(500), 0ns);
  EXPECT_GT(latencies.percentile(1000), 15min);
  EXPECT_EQ(latencies.max(), 24h);
}

TEST(Latencies, ClearRemovesAllLatencies) {
  Latencies latencies;
  latencies.add(1ms);
  latencies.clear();
  EXPECT_EQ(latencies.count(), 0u);
  EXPECT_EQ(latencies.max(), 0ns);
  latencies.add(3ns);
  EXPECT_EQ(latencies.percentile(1000), 3ns);
}

TEST(SendTimes, PopReturnsTheOldestTime) {
  SendTimes times(3);
  times.push(At(1ns), 2);
  EXPECT_EQ(times.pop(), At(1ns));
  for (std::int64_t i = 2; i < 20; ++i) {
    times.push(At(nanoseconds(i)), 2);  // full
    EXPECT_EQ(times.pop(), At(nanoseconds(i - 1)));
    EXPECT_EQ(times.pop(), At(nanoseconds(i)));
  }
  EXPECT_EQ(times.pop(), At(19ns));
}

TEST(SendTimes, WorksWithRoomForOneTime) {
  SendTimes times(1);
  for (std::int64_t i = 1; i < 4; ++i) {
    times.push(At(nanoseconds(i)), 1);
    EXPECT_EQ(times.pop(), At(nanoseconds(i)));
  }
}

}  // namespace
