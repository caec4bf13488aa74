// The publications that a broker refuses: the count, the lines of the log, the status.
#include "server/refusals.h"
#include "support/bridge_house.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

using server::Refusals;
using namespace std::chrono_literals;

TEST(ServerRefusals, EachKindHasALineAMinute) {
  Refusals refusals;
  const Refusals::TimePoint start(1h);
  EXPECT_EQ(refusals.last(start), "");
  EXPECT_EQ(refusals.add("OOM no memory", start), "refuses publications (1 so far): OOM no memory");
  EXPECT_EQ(refusals.add("OOM others", start + 59s), "");
  EXPECT_EQ(refusals.add("NOPERM x", start + 59s), "refuses publications (3 so far): NOPERM x");
  EXPECT_EQ(refusals.add("OOM again", start + 60s), "refuses publications (4 so far): OOM again");
  EXPECT_EQ(refusals.add("OOM again", start + 61s), "");
  EXPECT_EQ(refusals.total(), 5u);
}

TEST(ServerRefusals, TheLastReasonStaysForAMinute) {
  Refusals refusals;
  const Refusals::TimePoint start(1h);
  refusals.add("OOM a", start);
  refusals.add("OOM b", start + 30s);
  EXPECT_EQ(refusals.last(start + 89s), "OOM b");
  EXPECT_EQ(refusals.last(start + 90s), "");
}

TEST(ServerRefusals, KindsAreBounded) {
  Refusals refusals;
  const Refusals::TimePoint now(1h);
  std::size_t lines = 0;
  for (int i = 0; i < 100; ++i)
    lines += refusals.add(std::to_string(i) + " x", now).empty() ? 0 : 1;
  EXPECT_EQ(lines, Refusals::max_kinds);
}

TEST(ServerRefusals, StatusCountersAndLogTellThem) {
  Broker broker;
  BridgeHouse house(broker, {.topics = "t*"});
  house.bench().run();
  EXPECT_EQ(house.server().bridges().at(0).refusal, "");
  broker.bridges.at(0)->sink().refused("OOM no memory");
  broker.bridges.at(0)->sink().refused("OOM no memory");
  EXPECT_EQ(house.counters().refused_broker, 2u);
  EXPECT_EQ(house.server().bridges().at(0).refused, 2u);
  EXPECT_EQ(house.server().bridges().at(0).refusal, "OOM no memory");
  EXPECT_EQ(std::ranges::count(
                house.lines, "the broker of \"t*\" refuses publications (1 so far): OOM no memory"),
            1);
  EXPECT_NE(house.server().counters().prometheus().find(
                "tern_bridge_refused_broker_total{topics=\"t*\"} 2\n"),
            std::string::npos);
}

}  // namespace
}  // namespace tern::test
