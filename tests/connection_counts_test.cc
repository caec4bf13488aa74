// The number of open connections. One thread counts and another one reads at the same time. The
// reader never finds more ends than beginnings.
#include "connection/metrics.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

namespace tern::connection {
namespace {

// The connections follow each other, so never more than one is open.
TEST(ConnectionCounts, OpenIsNeverBelowZero) {
  Metrics metrics;
  std::atomic<bool> over{false};
  std::thread worker([&] {
    while (!over) {
      metrics.connections_begun.add();
      metrics.connections_ended.add_last();
    }
  });
  // Reads until the worker has made many connections, on a fast or a slow machine.
  std::uint64_t most_between_looks = 0;
  std::uint64_t before = 0;
  for (int looks = 0; looks < 200'000 || before < 100'000; ++looks) {
    Counters total;
    metrics.add_to(total);
    ASSERT_LE(total.connections_open, total.connections_accepted) << "look " << looks;
    most_between_looks = std::max(most_between_looks, total.connections_accepted - before);
    before = total.connections_accepted;
  }
  over = true;
  worker.join();
  EXPECT_GT(most_between_looks, 1u);
  Counters total;
  metrics.add_to(total);
  EXPECT_EQ(total.connections_open, 0u);
}

}  // namespace
}  // namespace tern::connection
