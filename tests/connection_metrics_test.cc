// The text for Prometheus: every line follows the grammar of format 0.0.4.
#include "tern/error.h"
#include "tern/observe.h"

#include "connection/metrics.h"

#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <sstream>
#include <string>

namespace tern::test {
namespace {

// Returns the samples by name and labels. The test fails if a line breaks the grammar, if a sample
// comes before its HELP and TYPE, and if a family comes twice.
std::map<std::string, std::string> samples_in(const std::string& text) {
  static const std::regex comment(R"re(# (HELP|TYPE) (tern_[a-z_]+) (.+))re");
  static const std::regex sample(
      R"re((tern_[a-z_]+)(\{[a-z]+="([^"\\\n]|\\["\\n])*"\})? ([0-9]+(\.[0-9]+)?))re");
  static const std::regex part_of_histogram("(.*)_(bucket|sum|count)");
  std::map<std::string, std::string> samples;
  std::map<std::string, int> families;
  std::string histogram;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, comment)) {
      EXPECT_EQ(++families[found[2]], found[1] == "HELP" ? 1 : 2) << line;
      if (found[1] == "TYPE") {
        EXPECT_TRUE(found[3] == "counter" || found[3] == "gauge" || found[3] == "histogram")
            << line;
        if (found[3] == "histogram") histogram = found[2];
      }
    } else if (std::regex_match(line, found, sample)) {
      std::string family = found[1];
      std::smatch part;
      if (std::regex_match(family, part, part_of_histogram) && part[1] == histogram) {
        family = histogram;
      }
      EXPECT_EQ(families[family], 2) << line;
      EXPECT_TRUE(samples.emplace(found[1].str() + found[2].str(), found[4]).second) << line;
    } else {
      ADD_FAILURE() << "unreadable: " << line;
    }
  }
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  return samples;
}

TEST(ConnectionMetrics, TheTextFollowsTheGrammar) {
  Counters counters{.upgrades = 7};
  counters.closes = {{1000, 3}, {3000, 1}};
  counters.refusals = {{"origin_refused", 2}, {"a \"quoted\" \\ text\nof two lines", 1}};
  const auto samples = samples_in(counters.prometheus());
  EXPECT_EQ(samples.at("tern_upgrades_total"), "7");
  EXPECT_EQ(samples.at("tern_closes_total{code=\"1000\"}"), "3");
  EXPECT_EQ(samples.at("tern_closes_total{code=\"application\"}"), "1");
  EXPECT_EQ(samples.at("tern_refusals_total{reason=\"origin_refused\"}"), "2");
  EXPECT_EQ(samples.at(R"(tern_refusals_total{reason="a \"quoted\" \\ text\nof two lines"})"), "1");
  EXPECT_EQ(samples_in(Counters().prometheus()).size(), 24u);
}

TEST(ConnectionMetrics, TheTimesOfTheFanoutAreAHistogram) {
  using namespace std::chrono_literals;
  connection::Metrics metrics;
  for (const std::chrono::nanoseconds time :
       {0ns, 100'000ns, 100'001ns, 7'000'000ns, 5'000'000'000ns}) {
    metrics.topic_fanout.add(time);
    metrics.topic_slices.add(2 * time);
  }
  Counters counters;
  metrics.add_to(counters);
  metrics.add_to(counters);  // of a second worker
  const auto samples = samples_in(counters.prometheus());
  const auto bucket = [&](const std::string& bound) {
    return samples.at("tern_topic_fanout_seconds_bucket{le=\"" + bound + "\"}");
  };
  EXPECT_EQ(bucket("0.000100"), "4");
  EXPECT_EQ(bucket("0.000250"), "6");
  EXPECT_EQ(bucket("0.005000"), "6");
  EXPECT_EQ(bucket("0.010000"), "8");
  EXPECT_EQ(bucket("1.000000"), "8");
  EXPECT_EQ(bucket("+Inf"), "10");
  EXPECT_EQ(samples.at("tern_topic_fanout_seconds_count"), "10");
  EXPECT_EQ(samples.at("tern_topic_fanout_seconds_sum"), "10.014400");
  EXPECT_EQ(samples.at("tern_topic_slice_seconds_bucket{le=\"0.000250\"}"), "6");
  EXPECT_EQ(samples.at("tern_topic_slice_seconds_count"), "10");
}

TEST(ConnectionMetrics, RefusalsHaveTheNamesOfErrc) {
  connection::Metrics metrics;
  Counters expected;
  for (int value = 1; errc_name(static_cast<Errc>(value)) != "unknown"; ++value) {
    const auto errc = static_cast<Errc>(value);
    if (errc == Errc::connection_reset) continue;
    metrics.refused(errc);
    expected.refusals.emplace_back(errc_name(errc), 1);
  }
  Counters counters;
  metrics.add_to(counters);
  EXPECT_EQ(counters.refusals, expected.refusals);
  metrics.refused(std::make_error_code(std::errc::host_unreachable));
  counters = {};
  metrics.add_to(counters);
  EXPECT_EQ(
      samples_in(counters.prometheus()).at("tern_refusals_total{reason=\"connection_reset\"}"),
      "1");
}

}  // namespace
}  // namespace tern::test
