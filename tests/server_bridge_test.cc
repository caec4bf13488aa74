// Bridged topics: several servers on a broker of the test, which delivers when the test says so.
// Order, echoes, interest, gaps and their policies.
#include "tern/bridge.h"

#include "support/bridge_house.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using House = BridgeHouse;

// Two servers on one broker.
struct TwoHouses {
  explicit TwoHouses(const BridgeOptions& options = {}) : a(broker, options), b(broker, options) {}

  void run() {
    broker.run();
    a.run();
    b.run();
  }

  Broker broker{};
  House a;
  House b;
};

// ---- the order of the broker

TEST(ServerBridge, APublicationReachesTheSubscribersOfAllServersOnce) {
  TwoHouses houses;
  auto& [broker, a, b] = houses;
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  TestPeer other = subscriber(b, "sub u");
  const PublishStatus status = a.server().publish("t", "hello");
  EXPECT_EQ(status.value(), PublishStatus::queued);
  EXPECT_EQ(status.workers(), 0u);
  EXPECT_EQ(status.position().offset, 0u);
  EXPECT_EQ(all_of(one), "yes; ") << "it comes from the broker";
  houses.run();
  EXPECT_EQ(all_of(one), "hello; ");
  EXPECT_EQ(all_of(two), "yes; hello; ");
  EXPECT_EQ(all_of(other), "yes; ");
}

TEST(ServerBridge, AllServersHaveTheOrderOfTheBroker) {
  TwoHouses houses;
  auto& [broker, a, b] = houses;
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  for (int i = 0; i < 100; ++i) (i % 2 == 0 ? a : b).server().publish("t", std::to_string(i));
  houses.run();
  EXPECT_EQ(all_of(one), all_of(two));
  Topic topic = a.server().topic("t");
  EXPECT_EQ(topic.publish("handle").value(), PublishStatus::queued);
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "handle; ");
  EXPECT_EQ(all_of(two), "handle; ");
}

TEST(ServerBridge, AConnectionDoesNotReceiveWhatItPublished) {
  TwoHouses houses;
  auto& [broker, a, b] = houses;
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(a);
  TestPeer three = subscriber(b);  // it has the slot of `one`, on another server
  one.send("pub t mine");
  houses.run();
  EXPECT_EQ(all_of(one), "yes; published queued; ");
  EXPECT_EQ(all_of(two), "yes; mine; ");
  EXPECT_EQ(all_of(three), "yes; mine; ");
  one.send("shout t all");
  broker.run();
  a.run();
  EXPECT_EQ(all_of(one), "all; ");
}

// The slot has another generation.
TEST(ServerBridge, TheConnectionAfterThePublisherReceivesIt) {
  Broker broker;
  House a(broker);
  {
    TestPeer one = subscriber(a);
    one.send("pub t mine");
    one.drop();
  }
  TestPeer next = a.connect();
  next.send("sub t");
  a.run();
  EXPECT_EQ(all_of(next), "yes; mine; ");
}

TEST(ServerBridge, AProgramThatSendsNoTextIsHeard) {
  Broker broker;
  House a(broker);
  TestPeer one = subscriber(a);
  broker.publish("t", "plain");
  broker.publish("t", "\xFF\x01", MessageType::text);
  broker.publish("u", "not wanted");
  a.run();
  EXPECT_EQ(all_of(one), "yes; plain; binary \xFF\x01; ");
}

TEST(ServerBridge, RefusesWhatALocalTopicRefuses) {
  Broker broker;
  ServerOptions options;
  options.limits.max_message_bytes = 10;
  House a(broker, {}, 0, options);
  a.run();
  EXPECT_EQ(a.server().publish("t", "\xFF").value(), PublishStatus::not_utf8);
  EXPECT_EQ(a.server().publish("t", "12345678901").value(), PublishStatus::too_big);
  EXPECT_EQ(a.server().publish("", "x").value(), PublishStatus::name_invalid);
  EXPECT_TRUE(broker.queue.empty());
  TestPeer one = subscriber(a);
  broker.publish("t", "12345678901");
  a.run();
  EXPECT_EQ(all_of(one), "yes; gap t 0; ");
}

TEST(ServerBridge, ThePatternChoosesTheBridge) {
  Broker broker;
  Broker rooms;
  House a(broker, {.topics = "a*"});
  a.server().bridge(std::make_unique<FakeBridge>(rooms), {.topics = "ab*"});
  TestPeer one = subscriber(a, "sub ax");
  one.send("sub abx");
  one.send("sub local");
  for (const char* topic : {"ax", "abx", "local"}) a.server().publish(topic, topic);
  EXPECT_EQ(broker.queue.size(), 1u);
  EXPECT_EQ(rooms.queue.size(), 1u);
  EXPECT_EQ(all_of(one), "yes; yes; yes; local; ");
  rooms.run();
  a.run();
  EXPECT_EQ(all_of(one), "abx; ax; ");
  EXPECT_EQ(a.server().bridges().size(), 2u);
}

TEST(ServerBridge, ANullBridgeKeepsTopicsOnTheirServer) {
  Broker broker;
  House a(broker, {.topics = "a*"});
  a.server().bridge(nullptr, {.topics = "ab*"});
  TestPeer one = subscriber(a, "sub abx");
  a.server().publish("abx", "here");
  EXPECT_EQ(broker.queue.size(), 0u);
  EXPECT_EQ(all_of(one), "yes; here; ");
}

TEST(ServerBridge, OptionsThatCannotWorkAreErrorsOfListen) {
  struct Case {
    BridgeOptions options;
    bool durable;
    std::string_view why;
  };
  const Case cases[] = {
      {{.topics = "a*b"}, false, "'*' may only end"},
      {{.topics = "h*", .order = Order::local_first}, false, "topics with a history"},
      {{.topics = "*", .order = Order::local_first}, false, "topics with a history"},
      {{.topics = "x", .order = Order::local_first}, true, "a durable bridge"},
      {{.topics = "x", .while_down = WhileDown::local}, true, "a durable bridge"},
      {{.linger = -1s}, false, "a time is negative"},
      {{.topics = "x", .on_gap = GapPolicy::retained}, false, "give them one by Server::topics()"},
      {{.topics = "x", .on_gap = GapPolicy::retained}, true, "give them one by Server::topics()"},
      {{.topics = "hot", .on_gap = GapPolicy::retained}, false, ""},
      {{.topics = "twice"}, false, "there are two"},
      {{.topics = "x", .order = Order::local_first}, false, ""},
  };
  for (const Case& each : cases) {
    Broker broker;
    broker.durable = each.durable;
    Server server(ServerOptions{.host = "127.0.0.1"});
    server.topics("hot", {.history = 1});
    server.bridge(FakeBridge(broker), {.topics = "twice"});
    server.bridge(FakeBridge(broker), each.options);
    const Result<void> listening = server.listen();
    if (each.why.empty()) {
      EXPECT_TRUE(listening);
      continue;
    }
    ASSERT_FALSE(listening) << each.why;
    EXPECT_NE(listening.error().message().find(each.why), std::string::npos)
        << listening.error().message();
  }
}

// ---- local first

TEST(ServerBridge, LocalFirstDeliversAtOnceAndDropsTheEcho) {
  TwoHouses houses({.order = Order::local_first});
  auto& [broker, a, b] = houses;
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  EXPECT_EQ(a.server().publish("t", "x").workers(), 1u);
  EXPECT_EQ(all_of(one), "yes; x; ");
  houses.run();
  EXPECT_EQ(all_of(one), "");
  EXPECT_EQ(all_of(two), "yes; x; ");
  EXPECT_EQ(a.counters().echoes, 1u);
  broker.fail();
  const PublishStatus down = a.server().publish("t", "y");
  EXPECT_EQ(down.value(), PublishStatus::bridge_down);
  EXPECT_EQ(down.workers(), 1u);
  EXPECT_EQ(all_of(one), "y; ");
}

// ---- interest

TEST(ServerBridge, TheInterestLingers) {
  Broker broker;
  House a(broker, {.linger = 5s});
  TestPeer one = subscriber(a);
  EXPECT_EQ(broker.take_calls(), "want t; ");
  TestPeer two = subscriber(a);
  one.send("leave t");
  a.bench().advance(60s);
  EXPECT_EQ(broker.take_calls(), "");
  two.drop();
  a.bench().advance(4900ms);
  one.send("sub t");
  a.bench().advance(60s);
  EXPECT_EQ(broker.take_calls(), "") << "it came back in time";
  one.send("leave t");
  a.bench().advance(4900ms);
  EXPECT_EQ(broker.take_calls(), "");
  a.bench().advance(200ms);
  EXPECT_EQ(broker.take_calls(), "unwant t; ");
  one.send("sub t");
  a.run();
  EXPECT_EQ(broker.take_calls(), "want t; ");
  EXPECT_EQ(a.server().counters().topics, 1u);
}

// The first loop ends a part of them in each turn, and serves connections between.
TEST(ServerBridge, ManyTopicsThatAreLeftAtOnceEndAll) {
  constexpr std::size_t count = 3'000;
  Broker broker;
  ServerOptions options;
  options.topics.max_subscriptions = count;
  House a(broker, {.linger = 5s}, 0, options);
  TestPeer one = a.connect();
  for (std::size_t i = 0; i < count; ++i) one.send("sub t" + std::to_string(i));
  a.run();
  broker.take_calls();
  one.drop();
  a.run();
  a.bench().advance(4900ms);
  EXPECT_EQ(broker.calls.size(), 0u);
  a.bench().advance(200ms);
  EXPECT_EQ(broker.calls.size(), count);
}

TEST(ServerBridge, TenThousandChangesOfInterestAreOneCommand) {
  Broker broker;
  House a(broker);
  TestPeer one = subscriber(a);
  for (int i = 0; i < 10'000; ++i) {
    one.send("leave t");
    one.send("sub t");
  }
  a.bench().advance(6s);
  EXPECT_EQ(broker.take_calls(), "want t; ");
  one.drop();
  a.bench().advance(6s);
  EXPECT_EQ(broker.take_calls(), "unwant t; ");
  EXPECT_EQ(a.server().counters().topics, 0u);
}

// A subscriber that comes later must not receive a value that is older than others.
TEST(ServerBridge, AHistoryEndsWithTheInterest) {
  Broker broker;
  House a(broker, {}, 5);
  TestPeer one = subscriber(a);
  a.server().publish("t", "old");
  a.run();
  TestPeer two = subscriber(a, "last 1 t");
  EXPECT_EQ(all_of(two), "yes; old; ");
  Topic kept = a.server().topic("t");
  const Position before = kept.position();
  one.drop();
  two.drop();
  a.bench().advance(6s);
  TestPeer three = subscriber(a, "last 1 t");
  EXPECT_EQ(all_of(three), "yes; ");
  TestPeer four = subscriber(
      a, "at " + std::to_string(before.epoch) + " " + std::to_string(before.offset) + " t");
  EXPECT_EQ(all_of(four), "no; ");
}

// ---- without a broker, and gaps

TEST(ServerBridge, TellsAGapOnceForEachTopicAndOutage) {
  Broker broker;
  House a(broker, {}, 5);
  TestPeer one = subscriber(a, "sub t");
  TestPeer two = subscriber(a, "sub t");
  TestPeer other = subscriber(a, "sub u");
  broker.publish("t", "1");
  a.run();
  const Position before = a.server().topic("t").position();
  broker.fail();
  a.run();
  EXPECT_EQ(a.server().publish("t", "x").value(), PublishStatus::bridge_down);
  EXPECT_EQ(a.server().bridges().at(0).state, BridgeState::down);
  EXPECT_EQ(a.server().bridges().at(0).why, "killed");
  EXPECT_TRUE(a.gaps.empty());
  broker.recover();
  a.run();
  std::ranges::sort(a.gaps);
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t outage", "u outage"}));
  EXPECT_EQ(all_of(one), "yes; 1; gap t 0; ");
  EXPECT_EQ(all_of(two), "yes; 1; gap t 0; ");
  EXPECT_EQ(all_of(other), "yes; gap u 0; ");
  TestPeer late = subscriber(
      a, "at " + std::to_string(before.epoch) + " " + std::to_string(before.offset) + " t");
  EXPECT_EQ(all_of(late), "no; ") << "what was published meanwhile is not in the history";
  EXPECT_EQ(a.counters().gaps, 2u);
  broker.fail();
  broker.recover();
  a.run();
  EXPECT_EQ(all_of(one), "gap t 0; ");
  EXPECT_EQ(a.gaps.size(), 4u);
}

TEST(ServerBridge, WhileDownLocalReachesThisServer) {
  TwoHouses houses({.while_down = WhileDown::local});
  auto& [broker, a, b] = houses;
  TestPeer one = subscriber(a);
  TestPeer two = subscriber(b);
  broker.fail();
  EXPECT_EQ(a.server().publish("t", "x").workers(), 1u);
  a.run();
  b.run();
  EXPECT_EQ(all_of(one), "yes; x; ");
  EXPECT_EQ(all_of(two), "yes; ");
}

TEST(ServerBridge, AfterAGapTheRetainedValueComesAgain) {
  Broker broker;
  House a(broker, {.on_gap = GapPolicy::retained}, 3);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  broker.publish("t", "2");
  a.run();
  broker.fail();
  broker.recover();
  broker.publish("t", "3");
  a.run();
  EXPECT_EQ(all_of(one), "yes; 1; 2; 3; gap t 0; 3; ");
  broker.fail();
  broker.recover();
  a.bench().run();
  EXPECT_EQ(all_of(one), "gap t 0; 3; ");
}

TEST(ServerBridge, AfterAGapConnectionsAreClosedOverTheSpread) {
  Broker broker;
  House a(broker, {.on_gap = GapPolicy::close, .gap_spread = 5s});
  std::vector<TestPeer> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(subscriber(a));
  TestPeer other = subscriber(a, "sub u");
  a.bench().run();
  broker.up = true;
  broker.bridges.at(0)->sink().gap("t", GapCause::lost);
  a.run();
  a.bench().advance(2500ms);
  const auto closed = [&] {
    return std::ranges::count_if(peers, [](TestPeer& peer) {
      return all_of(peer).find("close 1012") != std::string::npos || peer.ended();
    });
  };
  const auto half = closed();
  EXPECT_GT(half, 0);
  EXPECT_LT(half, 20);
  a.bench().advance(2500ms);
  EXPECT_EQ(half + closed() - half, 20);
  EXPECT_EQ(all_of(other), "yes; ");
}

TEST(ServerBridge, AFloodBeyondTheInboxIsAGap) {
  Broker broker;
  ServerOptions options;
  options.topics.max_waiting = 10;
  House a(broker, {}, 0, options);
  TestPeer one = subscriber(a);
  for (int i = 0; i < 100; ++i) broker.publish("t", std::to_string(i));
  broker.run();
  a.bench().run();
  const BridgeCounters counters = a.counters();
  EXPECT_GT(counters.dropped_full, 0u);
  EXPECT_EQ(counters.dropped_full + counters.delivered, 100u);
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t too_slow"}));
  const std::string received = all_of(one);
  EXPECT_EQ(received.find("gap t 0; "), received.rfind("gap t 0; "));
  EXPECT_NE(received.find("gap t 0; "), std::string::npos) << received;
}

TEST(ServerBridge, TheEndOfAServerEndsItsInterest) {
  Broker broker;
  {
    House a(broker);
    TestPeer one = subscriber(a);
    broker.publish("t", "1");
    broker.bridges.at(0)->sink().gap("t", GapCause::lost);
  }
  EXPECT_TRUE(broker.bridges.empty());
}

TEST(ServerBridge, TheCountersAreInPrometheusText) {
  Broker broker;
  House a(broker, {.topics = "t*"});
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  const std::string text = a.server().counters().prometheus();
  EXPECT_NE(text.find("tern_bridge_up{topics=\"t*\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("tern_bridge_delivered_total{topics=\"t*\"} 1\n"), std::string::npos);
  EXPECT_NE(std::ranges::find(a.lines, "the bridge of \"t*\" is up: fake"), a.lines.end());
}

}  // namespace
}  // namespace tern::test
