// The model of a million connections: nothing is lost in its simulations, they agree with the sums,
// and the documents have the tables that it prints.

#include "tern/client.h"

#include "scale_model/placement.h"
#include "scale_model/plan.h"
#include "scale_model/report.h"
#include "scale_model/storm.h"
#include "support/markdown.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

namespace tern::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

double in_seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

Storm storm_of(std::size_t clients) {
  return {.clients = clients,
          .machines = 4,
          .each = 10us,
          .waiting = 4'096,
          .retry = {.first = 1s, .first_after_end = 5s, .most = 60s, .stable = 10s}};
}

// Machines that are mostly idle open a connection when it is tried: evenly between 0.1 and 5 s.
TEST(BenchScaleModel, ALightStormFollowsTheJitter) {
  const StormResult result = ride_out(storm_of(100'000));
  EXPECT_EQ(result.back, 100'000u);
  EXPECT_EQ(result.attempts, 100'000u);
  EXPECT_EQ(result.failed, 0u);
  EXPECT_EQ(result.lost_syns, 0u);
  EXPECT_NEAR(in_seconds(result.half), 0.1 + 4.9 / 2, 0.03);
  EXPECT_NEAR(in_seconds(result.nearly_all), 0.1 + 4.9 * 0.99, 0.03);
  EXPECT_LE(result.all, 5s + 1ms);
  EXPECT_NEAR(static_cast<double>(result.most_in_100_ms), 100'000 / 49.0, 300);
}

// Machines that are the limit work all the time, so the end is the sum of all work.
TEST(BenchScaleModel, AHeavyStormTakesTheTimeOfItsWork) {
  Storm storm = storm_of(100'000);
  storm.each = 400us;
  storm.waiting = 100'000;
  const StormResult result = ride_out(storm);
  EXPECT_EQ(result.back, 100'000u);
  EXPECT_EQ(result.failed, 0u);
  EXPECT_NEAR(in_seconds(result.all), 100'000 * 400e-6 / 4, 0.4);
  EXPECT_NEAR(in_seconds(result.half), 50'000 * 400e-6 / 4, 0.4);
  EXPECT_GE(result.all, 400us * 100'000 / 4);
}

TEST(BenchScaleModel, LostSynsAndFailedAttemptsComeAgain) {
  Storm storm = storm_of(20'000);
  storm.each = 20ms;
  storm.waiting = 100;
  const StormResult result = ride_out(storm);
  EXPECT_EQ(result.back, 20'000u) << "each client comes back";
  EXPECT_GT(result.failed, 0u);
  EXPECT_EQ(result.attempts, result.back + result.failed);
  // An attempt fails with five lost SYNs; one that succeeds has four at most.
  EXPECT_GE(result.lost_syns, 5 * result.failed);
  EXPECT_LE(result.lost_syns, 5 * result.failed + 4 * result.back);
  EXPECT_LE(result.longest_queue, storm.each * 101);
  EXPECT_GE(result.all, storm.each * 20'000 / 4);
}

TEST(BenchScaleModel, ClientsWithoutJitterComeAtOnce) {
  Storm storm = storm_of(1'000);
  storm.jitter = false;
  const StormResult result = ride_out(storm);
  EXPECT_EQ(result.most_in_100_ms, 1'000u);
  EXPECT_LE(result.all, storm.each * 1'000);
}

TEST(BenchScaleModel, ClientsNoticeTheEndBetweenTwoTimes) {
  Storm storm = storm_of(50'000);
  storm.jitter = false;
  storm.first_end = 20s;
  storm.last_end = 40s;
  const StormResult result = ride_out(storm);
  EXPECT_NEAR(in_seconds(result.half), 30, 0.2);
  EXPECT_GE(result.half, 20s);
  EXPECT_LE(result.all, 40s + 1ms);
}

TEST(BenchScaleModel, PlacementAgreesWithTheFormula) {
  for (const std::size_t members : {1u, 2u, 10u, 50u, 500u}) {
    for (const std::uint32_t machines : {1u, 2u, 8u, 32u}) {
      const std::size_t topics = 200'000 / members;
      const Placement placed = place_at_random(topics, members, machines);
      EXPECT_EQ(placed.placed, topics * members);
      const double formula = interested(static_cast<double>(members), machines);
      EXPECT_NEAR(placed.interested, formula, 0.01 * formula) << members << " on " << machines;
      EXPECT_GE(placed.largest, 1.0);
      EXPECT_LE(placed.largest, 1.06);
    }
  }
  EXPECT_EQ(interested(1, 8), 1.0);
  EXPECT_EQ(interested(50, 1), 1.0);
  EXPECT_NEAR(interested(1e6, 8), 8.0, 1e-9);
}

TEST(BenchScaleModel, ARollingDeployAgreesWithTheFormula) {
  for (const std::uint32_t machines : {2u, 3u, 8u, 32u}) {
    for (const Balancer balancer : {Balancer::random, Balancer::least_connections}) {
      const RollingDeploy deploy{.balancer = balancer, .machines = machines, .clients = 192'000};
      const RollingResult simulated = roll(deploy);
      const RollingResult sums = rolling_formula(deploy);
      SCOPED_TRACE(std::to_string(machines) + ", " + std::string(name_of(balancer)));
      EXPECT_EQ(simulated.clients, 192'000u) << "no client is lost";
      EXPECT_NEAR(simulated.moves, sums.moves, 0.01 * sums.moves);
      EXPECT_NEAR(simulated.largest, sums.largest, 0.04 * sums.largest);
      EXPECT_EQ(simulated.seconds, machines * 50.0);
    }
  }
}

TEST(BenchScaleModel, TheSharesOfAllMachinesAreTheWhole) {
  const Figures figures;
  for (const Workload& load : loads_of(1e6)) {
    SCOPED_TRACE(load.name);
    const Plan one = share_of(load, figures, 1);
    const Plan each = share_of(load, figures, 10);
    EXPECT_NEAR(10 * each.connections, one.connections, 1e-6 * one.connections);
    EXPECT_NEAR(10 * each.deliveries, one.deliveries, 1e-6 * one.deliveries);
    EXPECT_NEAR(10 * (each.cores - each.bridge_cores), one.cores - one.bridge_cores, 1e-6);
    EXPECT_NEAR(10 * each.kernel_bytes, one.kernel_bytes, 1);
    EXPECT_NEAR(10 * (each.user_bytes - figures.process_bytes),
                one.user_bytes - figures.process_bytes, 1);
    EXPECT_EQ(each.broker_in, one.broker_in);
    EXPECT_GE(each.broker_out, one.broker_out * (1 - 1e-9));
    EXPECT_LE(each.broker_out, 10 * one.broker_out * (1 + 1e-9));
  }
}

// A million connections, each with a message a second to a topic of its own: the sums by hand.
TEST(BenchScaleModel, APlanIsTheSumOfItsFigures) {
  const Figures figures{.idle_bytes = 1'000,
                        .kernel_bytes = 4'000,
                        .subscription_bytes = 100,
                        .process_bytes = 0,
                        .message_us = 10,
                        .delivery_us = 5,
                        .upgrade_us = 40,
                        .bridge_in_us = 2,
                        .bridge_out_us = 1};
  const Workload load{.name = "", .tls = false, .connections = 1e6, .topics = 1e6, .sends = 1};
  const Plan each = share_of(load, figures, 10);
  EXPECT_DOUBLE_EQ(each.cores, 0.1 * (10 + 5 + 2 + 1));
  EXPECT_DOUBLE_EQ(each.bridge_cores, 0.1 * 3);
  EXPECT_DOUBLE_EQ(each.memory_bytes(), 1e5 * 5'100);
  EXPECT_DOUBLE_EQ(coming_back_cpu(load, figures), 50e-6);
  // 18 cores, at most 0.6 of 8 on each: 4 machines and one that may be lost.
  const Plan made = plan(load, figures, {.back_within = 1'000});
  EXPECT_EQ(made.machines, 5u);
  EXPECT_EQ(made.decider, Decider::cpu);
}

TEST(BenchScaleModel, APlanIsTheSmallestThatKeepsAllBounds) {
  const Workload quiet{.name = "", .connections = 1e6, .topics = 1e6};
  const auto planned = [&](const Machine& machine) { return plan(quiet, Figures{}, machine); };
  const Machine roomy{
      .cores = 1e4, .memory_bytes = 1e15, .most_connections = 1e9, .back_within = 1e9};
  EXPECT_EQ(planned(roomy).machines, 2u);

  Machine narrow = roomy;
  narrow.most_connections = 100'000;
  EXPECT_EQ(planned(narrow).machines, 11u);
  EXPECT_EQ(planned(narrow).decider, Decider::connections);

  narrow = roomy;
  narrow.memory_bytes = 8e9;  // 6e9 of it: the bytes of a connection are about 18 230
  EXPECT_EQ(planned(narrow).machines, 5u);
  EXPECT_EQ(planned(narrow).decider, Decider::memory);

  narrow = roomy;
  narrow.cores = 8;
  narrow.back_within = 10;  // 276 s of CPU, and pings on 0.7 of a core
  EXPECT_EQ(planned(narrow).machines, 5u);
  EXPECT_EQ(planned(narrow).decider, Decider::coming_back);
}

// 1000 handshakes at a time, each for 0.1 s: 10 000 a second, if the cores allow more.
TEST(BenchScaleModel, UnfinishedHandshakesLimitTheRate) {
  const Workload load{.name = "", .connections = 1e6};
  const Machine machine{.cores = 8, .unfinished = 1'000, .round_trip = 0.1};
  const Figures figures{.message_tls_us = 10, .upgrade_tls_us = 310};
  EXPECT_DOUBLE_EQ(coming_back_each(load, figures, machine, 8), 100e-6);
  EXPECT_DOUBLE_EQ(coming_back_each(load, figures, machine, 2), 160e-6);
}

TEST(BenchScaleModel, TheClientsOfAStormHaveTheDefaultsOfRetry) {
  const Figures figures;
  const Machine machine;
  const auto loads = plan_all(loads_of(1e5), figures, machine);
  const std::vector<Event> events = events_of(loads[1], figures, machine);
  const Storm& killed = events[1].storm;
  EXPECT_EQ(killed.retry.first_after_end, Retry{}.first_after_end);
  EXPECT_EQ(killed.retry.first, Retry{}.first);
  EXPECT_EQ(killed.clients, 100'000 / loads[1].plan.machines);
  EXPECT_EQ(killed.machines, loads[1].plan.machines - 1);
  EXPECT_TRUE(killed.jitter);
}

std::vector<std::string> table_lines(const std::string& text) {
  std::istringstream lines(text);
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('|')) rows.push_back(line);
  }
  return rows;
}

TEST(BenchScaleModel, TwoReportsAreEqual) {
  EXPECT_EQ(report(Figures{}, Machine{}, 10'000), report(Figures{}, Machine{}, 10'000));
}

TEST(BenchScaleModel, TheGuideHasTheTablesOfTheProgram) {
  const std::string guide =
      test::file_text(TERN_SOURCE_DIR "/docs/guides/a-million-connections.md");
  EXPECT_EQ(table_lines(guide), table_lines(report(Figures{}, Machine{}, 1e6)))
      << "run scale_model and copy its tables";
}

TEST(BenchScaleModel, ThePageOfPerformanceHasItsFigures) {
  const auto page = table_lines(test::file_text(TERN_SOURCE_DIR "/docs/performance.md"));
  for (const std::string& row : table_lines(figures_table(Figures{}))) {
    EXPECT_NE(std::ranges::find(page, row), page.end())
        << row << "\nrun scale_model --figures and copy its table";
  }
}

}  // namespace
}  // namespace tern::bench
