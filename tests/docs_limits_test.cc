// The defaults, each repeated as a plain number, and the guide about them: its tables have the
// values of the options, and no option is missing.
#include "tern/dial.h"
#include "tern/options.h"
#include "tern/server.h"

#include "support/markdown.h"

#include <chrono>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <tuple>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

TEST(DocsLimits, DefaultsHaveTheDocumentedValues) {
  const Limits limits;
  EXPECT_EQ(limits.max_message_bytes, 1'048'576u);
  EXPECT_EQ(limits.max_fragments, 16'384u);
  EXPECT_EQ(limits.max_head_bytes, 16'384u);
  EXPECT_EQ(limits.max_request_line_bytes, 8'192u);
  EXPECT_EQ(limits.max_header_fields, 100u);
  EXPECT_EQ(limits.max_body_bytes, 65'536u);
  EXPECT_EQ(limits.max_queued_bytes, 1'048'576u);
  EXPECT_EQ(limits.high_water_bytes, 262'144u);
  EXPECT_EQ(limits.low_water_bytes, 65'536u);
  EXPECT_EQ(limits.overflow, Overflow::close);
  EXPECT_EQ(limits.min_drain_bytes_per_second, 100u);

  const Timeouts timeouts;
  EXPECT_EQ(timeouts.handshake, 10s);
  EXPECT_EQ(timeouts.silence, 20s);
  EXPECT_EQ(timeouts.pong, 20s);
  EXPECT_EQ(timeouts.close, 5s);
  EXPECT_EQ(timeouts.stall, 30s);
  EXPECT_EQ(timeouts.http_idle, 5s);
  EXPECT_EQ(timeouts.body, 30s);
  EXPECT_EQ(timeouts.answer, 60s);

  const ServerOptions server;
  EXPECT_EQ(server.max_unfinished_handshakes, 1'024u);
  EXPECT_EQ(server.max_connections, 0u) << "RLIMIT_NOFILE - 64, see ServerDefaults";
  EXPECT_EQ(server.max_posted, 65'536u);
  EXPECT_EQ(server.max_posted_bytes, 67'108'864u);
  EXPECT_EQ(LoopOptions{}.max_posted, server.max_posted);
  EXPECT_EQ(LoopOptions{}.max_posted_bytes, server.max_posted_bytes);
  EXPECT_EQ(server.stop_deadline, 10s);
  EXPECT_EQ(server.topics.max_subscriptions, 1'024u);
  EXPECT_EQ(server.topics.max_topics, 1'000'000u);
  EXPECT_EQ(server.topics.max_waiting, 65'536u);
  EXPECT_EQ(server.topics.max_waiting_bytes, 16'777'216u);
  EXPECT_EQ(server.topics.max_history_bytes, 67'108'864u);
  EXPECT_EQ(server.topics.latest_unsent_bytes, 16'384u);
  EXPECT_EQ(TopicOptions{}.history, 0u);
  EXPECT_EQ(TopicOptions{}.history_bytes, 1'048'576u);
  EXPECT_EQ(TopicOptions{}.history_age, 1h);
  EXPECT_TRUE(server.allowed_origins.empty());
  EXPECT_TRUE(server.stop_on.empty());
  EXPECT_FALSE(server.share_port);
  EXPECT_EQ(server.per_address.connections, 0u);
  EXPECT_EQ(server.per_address.upgrades_per_second, 0u);
  EXPECT_FALSE(server.drain_on_stop);
  EXPECT_EQ(server.on_hangup, Hangup::untouched);
  EXPECT_EQ(Drain().spread, 30s);
  EXPECT_EQ(Drain().deadline, 60s);
  EXPECT_EQ(Drain().code, CloseCode::service_restart);

  EXPECT_EQ(DialOptions{}.timeout, 30s);
  EXPECT_EQ(DialOptions{}.limits.max_fragments, 131'072u);
}

// The options of a server and of a client have the defaults of the engine. The only exception is
// max_fragments of a client.
TEST(DocsLimits, AllRolesShareTheirDefaults) {
  const auto all = [](const Limits& limits) {
    return std::tuple(limits.max_message_bytes, limits.max_head_bytes,
                      limits.max_request_line_bytes, limits.max_header_fields,
                      limits.max_body_bytes, limits.max_queued_bytes, limits.high_water_bytes,
                      limits.low_water_bytes, limits.overflow, limits.min_drain_bytes_per_second);
  };
  const auto times = [](const Timeouts& timeouts) {
    return std::tuple(timeouts.handshake, timeouts.silence, timeouts.pong, timeouts.close,
                      timeouts.stall, timeouts.http_idle, timeouts.body, timeouts.answer);
  };
  for (const Limits& limits :
       {EngineOptions{}.limits, ServerOptions{}.limits, DialOptions{}.limits}) {
    EXPECT_EQ(all(limits), all(Limits{}));
  }
  for (const Timeouts& given :
       {EngineOptions{}.timeouts, ServerOptions{}.timeouts, DialOptions{}.timeouts}) {
    EXPECT_EQ(times(given), times(Timeouts{}));
  }
  EXPECT_EQ(EngineOptions{}.limits.max_fragments, Limits{}.max_fragments);
  EXPECT_EQ(ServerOptions{}.limits.max_fragments, Limits{}.max_fragments);
}

// "16 384", "256 KiB", "1 MiB".
std::string spaced(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, " ");
  return digits;
}

std::string bytes(std::size_t number) {
  const std::size_t mib = std::size_t{1} << 20;
  return number % mib == 0 ? spaced(number / mib) + " MiB" : spaced(number / 1024) + " KiB";
}

std::string seconds(std::chrono::nanoseconds duration) {
  EXPECT_EQ(duration % 1s, 0s);
  return std::to_string(duration / 1s) + " s";
}

// The default of each option in the notation of the guide.
std::map<std::string, std::string> expected() {
  const Limits limits;
  const Timeouts timeouts;
  const ServerOptions server;
  const DialOptions dial;
  return {
      {"limits.max_message_bytes", bytes(limits.max_message_bytes)},
      {"limits.max_fragments",
       spaced(limits.max_fragments) + "; `dial`: " + spaced(dial.limits.max_fragments)},
      {"limits.max_request_line_bytes", spaced(limits.max_request_line_bytes)},
      {"limits.max_head_bytes", spaced(limits.max_head_bytes)},
      {"limits.max_header_fields", spaced(limits.max_header_fields)},
      {"limits.max_body_bytes", bytes(limits.max_body_bytes)},
      {"limits.high_water_bytes", bytes(limits.high_water_bytes)},
      {"limits.low_water_bytes", bytes(limits.low_water_bytes)},
      {"limits.min_drain_bytes_per_second", spaced(limits.min_drain_bytes_per_second)},
      {"limits.max_queued_bytes", bytes(limits.max_queued_bytes)},
      {"max_unfinished_handshakes", spaced(server.max_unfinished_handshakes)},
      {"max_posted", spaced(server.max_posted)},
      {"max_posted_bytes", bytes(server.max_posted_bytes)},
      {"topics.max_subscriptions", spaced(server.topics.max_subscriptions)},
      {"topics.max_topics", spaced(server.topics.max_topics)},
      {"topics.max_waiting", spaced(server.topics.max_waiting)},
      {"topics.max_waiting_bytes", bytes(server.topics.max_waiting_bytes)},
      {"topics.max_history_bytes", bytes(server.topics.max_history_bytes)},
      {"topics.latest_unsent_bytes", bytes(server.topics.latest_unsent_bytes)},
      {"TopicOptions::history", spaced(TopicOptions{}.history)},
      {"TopicOptions::history_bytes", bytes(TopicOptions{}.history_bytes)},
      {"TopicOptions::history_age", seconds(TopicOptions{}.history_age)},
      {"max_connections", "descriptors allowed − 64"},
      {"timeouts.handshake", seconds(timeouts.handshake)},
      {"timeouts.silence", seconds(timeouts.silence)},
      {"timeouts.pong", seconds(timeouts.pong)},
      {"timeouts.stall", seconds(timeouts.stall)},
      {"timeouts.close", seconds(timeouts.close)},
      {"timeouts.body", seconds(timeouts.body)},
      {"timeouts.answer", seconds(timeouts.answer)},
      {"timeouts.http_idle", seconds(timeouts.http_idle)},
      {"stop_deadline", seconds(server.stop_deadline)},
      {"BridgeOptions::buffer_bytes", bytes(BridgeOptions().buffer_bytes)},
      {"BridgeOptions::buffer_time", seconds(BridgeOptions().buffer_time)},
      {"BridgeOptions::history_time", seconds(BridgeOptions().history_time)},
      {"BridgeOptions::linger", seconds(BridgeOptions().linger)},
      {"BridgeOptions::gap_spread", seconds(BridgeOptions().gap_spread)},
      {"Drain::spread", seconds(Drain().spread)},
      {"Drain::deadline", seconds(Drain().deadline)},
      {"per_address.connections", spaced(server.per_address.connections) + ", no limit"},
      {"per_address.upgrades_per_second",
       spaced(server.per_address.upgrades_per_second) + ", no limit"},
      {"DialOptions::timeout", seconds(dial.timeout)},
  };
}

// The rows "| `field` | default … | what … |" of all tables.
std::map<std::string, std::string> rows_of(const std::string& document) {
  std::map<std::string, std::string> rows;
  std::istringstream lines(document);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    const std::size_t name_end = line.find("` | ", 3);
    const std::size_t cell_end = line.find(" |", name_end + 4);
    EXPECT_NE(cell_end, line.npos) << line;
    rows[line.substr(3, name_end - 3)] = line.substr(name_end + 4, cell_end - name_end - 4);
  }
  return rows;
}

TEST(DocsLimits, TheGuideHasTheSameDefaults) {
  const auto path =
      std::filesystem::path(TERN_SOURCE_DIR) / "docs" / "guides" / "limits-and-deadlines.md";
  auto rows = rows_of(file_text(path));
  for (const auto& [name, value] : expected()) {
    ASSERT_TRUE(rows.contains(name)) << name << " is not in the guide";
    const std::string cell = rows[name];
    // Words may follow the number: "10 s from accept to 101".
    EXPECT_TRUE(cell == value || cell.starts_with(value + ' ')) << name << ": " << cell;
    rows.erase(name);
  }
  for (const auto& [name, cell] : rows) ADD_FAILURE() << name << " is no option known here";
}

}  // namespace
}  // namespace tern::test
