// A server with a bridge that does whatever it likes: names, payloads and positions that no broker
// should send, gaps without end, and calls from many threads until detach().
#include "tern/bridge.h"
#include "tern/dial.h"
#include "tern/testing.h"

#include "support/running_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// The test calls the sink.
struct Wild final : Bridge {
  explicit Wild(BridgeSink*& to, bool numbers = false) : sink(to), durable(numbers) {}
  Wild(Wild&& other) noexcept : sink(other.sink), durable(other.durable) {}

  bool is_durable() const noexcept override { return durable; }
  Result<void> attach(BridgeSink& given, const BridgeOptions&) override {
    sink = &given;
    given.state(BridgeState::up, "wild");
    return {};
  }
  bool interest(std::string_view, bool) noexcept override { return true; }
  PublishStatus publish(std::string_view, const SharedMessage&, const Origin&) noexcept override {
    return PublishStatus::queued;
  }
  bool history(std::string_view, Position, std::size_t) noexcept override { return durable; }
  void detach(std::chrono::nanoseconds) noexcept override { sink = nullptr; }

  BridgeSink*& sink;
  const bool durable;
};

// "t", or "t EPOCH OFFSET": subscribes.
struct Session {
  void on_message(Connection& conn, Message message) {
    std::istringstream in{std::string(message.text())};
    std::string topic;
    SubscribeOptions options;
    in >> topic;
    if (Position at; in >> at.epoch >> at.offset) options.from = at;
    conn.subscribe(topic, options);
  }
  void on_gap(Connection& conn, std::string_view topic, std::uint64_t) {
    conn.send("gap " + std::string(topic));
  }
};

class WildServer {
 public:
  explicit WildServer(bool durable = false, std::size_t history = 0) {
    server().route<Session>("/");
    if (history > 0) server().topics("*", {.history = history});
    server().bridge(Wild(sink_, durable), {});
    server().on_bridge_gap([this](std::string_view topic, GapCause cause) {
      gaps.push_back(std::string(topic) + ' ' + std::string(gap_cause_name(cause)));
    });
  }
  Server& server() { return bench_.server(); }
  BridgeSink& sink() { return *sink_; }
  void run() { bench_.run(); }
  TestPeer subscriber(const std::string& command = "t") {
    TestPeer peer = bench_.connect("/");
    peer.send(command);
    run();
    return peer;
  }
  void deliver(std::string_view topic, std::string_view payload) {
    sink_->deliver(topic, Message(MessageType::text, payload), {});
  }

  std::vector<std::string> gaps{};

 private:
  BridgeSink* sink_ = nullptr;
  TestServer bench_{};
};

std::vector<std::string> bad_names() {
  return {"",
          std::string(256, 'a'),
          std::string(1'000'000, 'a'),
          std::string("t\0", 2),
          "t\n",
          "\x7f",
          "\xff\xfe",
          "u",
          "*"};
}

TEST(ServerBridgeEvil, NamesOfTheBrokerMakeNoTopics) {
  WildServer wild;
  TestPeer peer = wild.subscriber();
  const auto topics = wild.server().counters().topics;
  for (const std::string& name : bad_names()) {
    wild.deliver(name, "bad");
    wild.sink().history(name, {.known = true, .last = {1, 1}});
    if (!name.empty()) wild.sink().gap(name, GapCause::lost);
  }
  wild.deliver("t", "good");
  wild.run();
  EXPECT_EQ(peer.take_all(), std::vector<std::string>{"text good"});
  EXPECT_EQ(wild.server().counters().topics, topics);
  EXPECT_TRUE(wild.gaps.empty());
}

TEST(ServerBridgeEvil, ATextThatIsNotUtf8IsBinary) {
  WildServer wild;
  TestPeer peer = wild.subscriber();
  const std::vector<std::string> texts = {
      "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "half \xe2\x82", "\x80"};
  for (const std::string& text : texts) {
    wild.deliver("t", text);
    wild.run();
    EXPECT_EQ(peer.take_all(), std::vector<std::string>{"binary " + text});
  }
  wild.deliver("t", "gr\xc3\xbc\xc3\x9f");
  wild.run();
  EXPECT_EQ(peer.take_all(), std::vector<std::string>{"text gr\xc3\xbc\xc3\x9f"});
}

TEST(ServerBridgeEvil, PublicationsThatAreTooBigAreOneGap) {
  WildServer wild;
  TestPeer peer = wild.subscriber();
  const std::string big((std::size_t{1} << 20) + 1, 'x');
  for (int i = 0; i < 20; ++i) wild.deliver("t", big);
  wild.deliver("t", "good");
  wild.run();
  std::vector<std::string> came = peer.take_all();
  std::ranges::sort(came);
  EXPECT_EQ(came, (std::vector<std::string>{"text gap t", "text good"}));
  EXPECT_EQ(wild.gaps, std::vector<std::string>{"t lost"});
}

TEST(ServerBridgeEvil, AStormOfGapsIsToldOnceForEachTopic) {
  WildServer wild;
  TestPeer one = wild.subscriber("t");
  TestPeer two = wild.subscriber("u");
  for (int i = 0; i < 20'000; ++i) {
    wild.sink().gap("t", GapCause::outage);
    if (i % 100 == 0) wild.sink().gap({}, GapCause::outage);
  }
  wild.run();
  EXPECT_EQ(one.take_all(), std::vector<std::string>{"text gap t"});
  EXPECT_EQ(two.take_all(), std::vector<std::string>{"text gap u"});
  std::ranges::sort(wild.gaps);
  EXPECT_EQ(wild.gaps, (std::vector<std::string>{"t outage", "u outage"}));
}

// Any order of any positions, questions and answers. Under the sanitizers nothing may go wrong, and
// the server must deliver what follows a gap.
TEST(ServerBridgeEvil, AnyPositionsAreSurvived) {
  constexpr std::uint64_t top = UINT64_MAX;
  const std::vector<std::uint64_t> numbers = {
      0, 1, 2, 3, 5, std::uint64_t{1} << 40, (std::uint64_t{1} << 40) - 1, top / 2, top - 1, top};
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto one_of = [&] { return numbers[random() % numbers.size()]; };
    WildServer wild(true, 4);
    std::vector<TestPeer> peers;
    peers.push_back(wild.subscriber());
    for (int step = 0; step < 200; ++step) {
      const Position at{one_of(), one_of()};
      const std::string text = std::to_string(step);
      switch (random() % 6) {
        case 0:
        case 1:
          wild.sink().deliver("t", Message(text), {}, at);
          break;
        case 2: {
          const std::vector<BridgedPublication> some(random() % 6, {Message(text), {}});
          wild.sink().history("t", {.known = random() % 4 != 0, .last = at, .publications = some});
          break;
        }
        case 3:
          if (peers.size() < 8) {
            peers.push_back(
                wild.subscriber("t " + std::to_string(at.epoch) + ' ' + std::to_string(at.offset)));
          }
          break;
        case 4:
          if (peers.size() > 1) peers.pop_back();
          break;
        case 5:
          if (random() % 8 == 0) wild.sink().gap("t", GapCause::outage);
          break;
      }
      if (random() % 3 == 0) wild.run();
    }
    peers.front().take_all();
    wild.sink().deliver("t", Message("good"), {}, Position{1'000, 7});
    wild.sink().deliver("t", Message("better"), {}, Position{1'000, 8});
    // The held publications wait for answers, perhaps each for an answer of its own.
    for (int i = 0; i < 200; ++i) wild.sink().history("t", {});
    wild.run();
    const std::vector<std::string> came = peers.front().take_all();
    EXPECT_NE(std::ranges::find(came, "text better"), came.end());
  }
}

// Calls the sink from several threads, each for a topic of its own, from attach() to detach().
struct Busy final : Bridge {
  Busy() = default;
  Result<void> attach(BridgeSink& sink, const BridgeOptions&) override {
    stopping_ = false;
    for (int i = 0; i < 3; ++i) threads_.emplace_back([&sink, i, this] { run(sink, i); });
    return {};
  }
  bool interest(std::string_view, bool) noexcept override { return true; }
  PublishStatus publish(std::string_view, const SharedMessage&, const Origin&) noexcept override {
    return PublishStatus::bridge_down;
  }
  void detach(std::chrono::nanoseconds) noexcept override {
    stopping_ = true;
    for (std::thread& each : threads_) each.join();
    threads_.clear();
  }
  void run(BridgeSink& sink, int number) {
    const std::string topic = "t" + std::to_string(number);
    for (unsigned i = 0; !stopping_; ++i) {
      sink.deliver(topic, Message("x"), {.server = i, .connection = UINT64_MAX - i});
      if (i % 16 == 0) sink.gap(topic, GapCause::lost);
      if (i % 64 == 0) sink.gap({}, GapCause::outage);
      if (number != 0 || i % 32 != 0) continue;
      sink.state(i % 64 == 0 ? BridgeState::up : BridgeState::down, "busy");
      sink.log(LogLevel::info, "busy");
    }
  }

 private:
  std::vector<std::thread> threads_{};
  std::atomic<bool> stopping_{false};
};

// Subscribes, receives some messages, and leaves.
void visit(std::uint16_t port, const std::string& topic) {
  for (int round = 0; round < 5; ++round) {
    auto client = dial("ws://127.0.0.1:" + std::to_string(port) + "/");
    if (!client) return;
    if (!client->send(topic)) return;
    std::string received;
    for (int i = 0; i < 20; ++i) {
      if (!client->receive(received)) break;
    }
    client->close();
  }
}

TEST(ServerBridgeEvil, ThreadsMayCallUntilTheVeryEnd) {
  RunningServer running({.threads = 2});
  std::atomic<int> gaps{0};
  running.server.route<Session>("/");
  running.server.bridge(std::make_unique<Busy>(), {});
  running.server.on_bridge_gap([&](std::string_view, GapCause) { ++gaps; });
  const std::uint16_t port = running.start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(visit, port, "t" + std::to_string(i));
  for (std::thread& each : clients) each.join();
  running.stop();
  EXPECT_GT(gaps, 0);
  EXPECT_GT(running.server.counters().bridges.at(0).delivered, 0u);
}

}  // namespace
}  // namespace tern::test
