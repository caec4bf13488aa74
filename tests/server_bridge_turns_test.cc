// Answers of a broker and the ends of questions come in numbers. A turn of the loop does a part of
// the work, so that it serves other connections between.
#include "tern/bridge.h"

#include "support/bridge_house.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

// What happens in each turn of the loop.
class Turns {
 public:
  explicit Turns(Server& server) : server_(server) {}

  void count() {
    if (counts_.empty()) begin_turn();
    ++counts_.back();
    ++total_;
  }
  std::size_t total() const { return total_; }
  std::size_t most() const { return counts_.empty() ? 0 : *std::ranges::max_element(counts_); }

 private:
  void begin_turn() {
    constexpr std::size_t max_turns = 300;
    counts_.push_back(0);
    if (counts_.size() < max_turns) server_.post_all([this] { begin_turn(); });
  }

  Server& server_;
  std::vector<std::size_t> counts_{};
  std::size_t total_ = 0;
};

// "N M": subscribes to the topics tN to t(M - 1), or "now": to the topic t without older
// publications.
struct Subscriber {
  Turns& turns;
  int told = 0;
  explicit Subscriber(Turns& of) : turns(of) {}

  void on_message(Connection& conn, Message message) {
    if (message.text() == "now") return void(conn.subscribe("t"));
    std::istringstream in{std::string(message.text())};
    int first = 0;
    int last = 0;
    in >> first >> last;
    for (int i = first; i < last; ++i) {
      conn.subscribe("t" + std::to_string(i), {.from = From::last(1)});
    }
  }
  // It takes longer than a turn should.
  void on_subscribed(Connection& conn, std::string_view topic, const Subscribed&) {
    turns.count();
    conn.send(std::to_string(++told));
    if (topic != "t") return;
    if (turns.total() % 3 == 0) conn.unsubscribe(topic);  // others change their places
    const auto end = std::chrono::steady_clock::now() + 100us;
    while (std::chrono::steady_clock::now() < end) {
    }
  }
};

struct Fixture {
  explicit Fixture(BridgeOptions options = {}) {
    Server& server = bench.server();
    server.topics("*", {.history = 5});
    server.bridge(FakeBridge(broker), std::move(options));
    server.route<Subscriber>("/", std::ref(turns));
  }
  Broker broker{.durable = true};
  TestServer bench;
  Turns turns{bench.server()};
};

TEST(ServerBridgeTurns, AnAnswerIsToldToAPartOfTheSubscribers) {
  Fixture one;
  std::vector<TestPeer> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(one.bench.connect("/"));
    peers.back().send("now");
  }
  one.broker.run();
  one.bench.run();
  EXPECT_EQ(one.turns.total(), 100u);
  EXPECT_LE(one.turns.most(), 16u);
  for (TestPeer& peer : peers) EXPECT_EQ(all_of(peer), "1; ");
}

TEST(ServerBridgeTurns, APartOfTheQuestionsEnds) {
  Fixture one({.history_time = 5s});
  TestPeer peer = one.bench.connect("/");
  peer.send("0 1000");
  EXPECT_EQ(one.turns.total(), 0u);
  one.bench.advance(5s + 100ms);  // without an answer
  EXPECT_EQ(one.turns.total(), 1000u);
  EXPECT_LT(one.turns.most(),
            1000u);  // a turn may call several times, more often on a slow machine
  one.broker.run();  // now the answers come, which nothing waits for
  one.bench.run();
  EXPECT_EQ(one.turns.total(), 1000u);
}

}  // namespace
}  // namespace tern::test
