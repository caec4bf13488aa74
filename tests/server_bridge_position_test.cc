// Positions of subscriptions: what a client may keep, and what its session is told when the broker
// has answered. Notifications that disagree with the history of the broker.
#include "tern/bridge.h"

#include "support/bridge_house.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using House = BridgeHouse;

TestPeer listener(House& house, const std::string& command) {
  TestPeer peer = house.connect();
  peer.send("tell");
  peer.send(command);
  return peer;
}

// An answer that is not enough makes another question.
void settle(House& house) {
  for (int i = 0; i < 4; ++i) house.run();
}

// A broker with three publications, which no server has.
Broker with_three() {
  Broker broker{.durable = true};
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  return broker;
}

TEST(ServerBridgePosition, IsThatOfTheBrokerOnceItIsKnown) {
  const struct {
    const char* command;
    const char* told;
  } rows[] = {
      {"sub t", "pending; begun t 77 3; 4; "},
      {"last 0 t", "pending; begun t 77 3; 4; "},
      {"last 2 t", "pending; begun t 77 3; 2; 3; 4; "},
      {"at 77 3 t", "pending; begun t 77 3; 4; "},
      {"at 77 1 t", "pending; begun t 77 3; 2; 3; 4; "},
      {"at 5 1 t", "pending; begun t 77 3 lost; gap t 3; 4; "},
      {"at 77 9 t", "pending; begun t 77 3 lost; gap t 3; 4; "},
  };
  for (const auto& row : rows) {
    Broker broker = with_three();
    House a(broker, {}, 10);
    TestPeer one = listener(a, row.command);
    EXPECT_EQ(a.server().counters().topic_subscriptions, 1u);
    settle(a);
    broker.publish("t", "4");
    a.run();
    EXPECT_EQ(all_of(one), row.told) << row.command;
    EXPECT_TRUE(a.gaps.empty());
  }
}

// Without a history here nothing can follow, but a client that missed nothing is told so.
TEST(ServerBridgePosition, IsToldAlsoWithoutAHistory) {
  Broker broker = with_three();
  House a(broker);
  TestPeer one = listener(a, "at 77 3 t");
  TestPeer two = listener(a, "at 77 2 t");
  TestPeer three = listener(a, "sub t");
  a.run();
  EXPECT_EQ(all_of(one), "pending; begun t 77 3; ");
  EXPECT_EQ(all_of(two), "pending; begun t 77 3 lost; gap t 1; ");
  EXPECT_EQ(all_of(three), "pending; begun t 77 3; ");
}

TEST(ServerBridgePosition, IsToldOnceAndToThoseThatWait) {
  Broker broker = with_three();
  House a(broker, {}, 10);
  std::vector<TestPeer> peers;
  for (int i = 0; i < 40; ++i) peers.push_back(listener(a, i % 2 == 0 ? "sub t" : "last 1 t"));
  TestPeer gone = listener(a, "sub t");
  gone.send("leave t");
  peers[0].send("sub t");
  a.run();
  EXPECT_EQ(all_of(peers[0]), "pending; pending; begun t 77 3; ");
  for (std::size_t i = 1; i < peers.size(); ++i) {
    EXPECT_EQ(all_of(peers[i]),
              i % 2 == 0 ? "pending; begun t 77 3; " : "pending; begun t 77 3; 3; ");
  }
  EXPECT_EQ(all_of(gone), "pending; ");
  broker.publish("t", "4");
  a.run();
  EXPECT_EQ(all_of(peers[0]), "4; ");
  TestPeer late = listener(a, "sub t");
  a.run();
  EXPECT_EQ(all_of(late), "yes; ");
}

TEST(ServerBridgePosition, WaitsForTheBroker) {
  Broker broker = with_three();
  broker.up = false;
  House a(broker, {}, 10);
  TestPeer one = listener(a, "sub t");
  TestPeer two = listener(a, "last 1 t");
  a.bench().advance(8s);
  EXPECT_EQ(all_of(one), "pending; ");
  EXPECT_EQ(all_of(two), "yes; ") << "there was none to ask for older ones";
  broker.up = true;
  broker.bridges.at(0)->sink().state(BridgeState::up, "fake");
  a.run();
  EXPECT_EQ(all_of(one), "begun t 77 3; ");
}

TEST(ServerBridgePosition, IsAskedForAgainIfNoAnswerComes) {
  Broker broker = with_three();
  House a(broker, {.history_time = 5s}, 10);
  TestPeer one = listener(a, "sub t");
  a.bench().advance(5100ms);
  EXPECT_EQ(all_of(one), "pending; ");
  a.bench().advance(200ms);
  EXPECT_EQ(broker.take_calls(), "want t; history t 0 0; history t 0 0; ");
  a.run();
  EXPECT_EQ(all_of(one), "begun t 77 3; ");
}

// A client that was on a faster server has publications that this one does not have yet.
TEST(ServerBridgePosition, AheadOfThisServerIsAskedFor) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.loses = true;
  broker.publish("t", "2");
  broker.publish("t", "3");
  broker.loses = false;
  TestPeer two = listener(a, "at 77 2 t");
  a.run();
  EXPECT_EQ(all_of(two), "pending; begun t 77 2; 3; ");
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ") << "the answer shows that they were lost";
  TestPeer three = listener(a, "at 77 9 t");
  settle(a);
  EXPECT_EQ(all_of(three), "pending; begun t 77 3 lost; gap t 3; ");
  broker.publish("t", "4");
  a.run();
  EXPECT_EQ(all_of(three), "4; ") << "not only from the position 9 on";
  EXPECT_TRUE(a.gaps.empty());
}

// The answer may overtake notifications of publications that it counts, although a bridge should
// not let it.
TEST(ServerBridgePosition, AHistoryHidesNoPublicationThatComesLater) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send("last 5 t");
  TestPeer two = a.connect();
  two.send("sub t");
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.bridges.at(0)->answer_all();
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ");
  EXPECT_EQ(all_of(two), "pending; 1; 2; 3; ");
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 3}));
  EXPECT_TRUE(a.gaps.empty());
}

// ---- questions

// An answer that comes too late must not be taken for that to the next question.
TEST(ServerBridgePosition, ALateAnswerIsNotThatToALaterQuestion) {
  Broker broker{.durable = true};
  House a(broker, {.history_time = 5s}, 10);
  TestPeer one = a.connect();
  one.send("sub t");
  broker.publish("t", "1");
  broker.bridges.at(0)->deliver(broker.queue.front());
  broker.queue.clear();
  a.bench().advance(5100ms);  // the question for the position has ended
  broker.loses = true;
  broker.publish("t", "2");
  broker.loses = false;
  broker.publish("t", "3");
  a.run();  // now it is answered, and then that for the hole
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ");
  EXPECT_TRUE(a.gaps.empty());
  EXPECT_EQ(a.counters().healed, 1u);
}

// Another program sends notifications on the channel, or the history is that of another broker.
TEST(ServerBridgePosition, NotificationsThatDisagreeAreAGapAndAreAskedForSeldom) {
  for (const Position wrong : {Position{99, 5}, Position{77, 900}}) {
    Broker broker{.durable = true};
    House a(broker, {}, 10);
    TestPeer one = subscriber(a);
    broker.publish("t", "1");
    a.run();
    broker.take_calls();
    FakeBridge& bridge = *broker.bridges.at(0);
    const auto disagree = [&] { bridge.sink().deliver("t", Message("wrong"), {}, wrong); };
    // Returns the number of questions, which a turn may not make endless.
    const auto answer = [&] {
      std::size_t count = 0;
      while (count < 1000 && bridge.answer_one()) ++count;
      a.bench().run();
      return count;
    };
    disagree();
    ASSERT_EQ(answer(), 1u) << "the next one waits";
    broker.publish("t", "2");
    a.run();
    EXPECT_EQ(all_of(one), "pending; 1; 2; ") << "others do not wait";
    std::size_t asked = 0;
    for (int i = 0; i < 30; ++i) {
      a.bench().advance(100ms);
      asked += answer();
    }
    EXPECT_EQ(asked, 4u);
    EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
    EXPECT_EQ(a.server().topic("t").position(), (Position{77, 2}));
    broker.publish("t", "3");
    a.run();
    EXPECT_EQ(all_of(one), "gap t 0; 3; ");
    // For a minute without an end.
    asked = 0;
    for (int i = 0; i < 600; ++i) {
      disagree();
      a.bench().advance(100ms);
      asked += answer();
    }
    EXPECT_LE(asked, 30u);
    EXPECT_LE(a.gaps.size(), 31u);
    broker.publish("t", "4");
    a.run();
    EXPECT_TRUE(all_of(one).ends_with("4; "));
    // Later a hole is filled as before.
    a.bench().advance(120s);
    answer();
    broker.loses = true;
    broker.publish("t", "5");
    broker.loses = false;
    broker.publish("t", "6");
    a.run();
    a.bench().advance(200ms);
    a.run();
    const std::string last = all_of(one);
    EXPECT_TRUE(last.ends_with("5; 6; ")) << last;
  }
}

TEST(ServerBridgePosition, NotificationsThatDisagreeWithTheFirstAnswerToo) {
  Broker broker = with_three();
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send("sub t");
  broker.bridges.at(0)->sink().deliver("t", Message("wrong"), {}, Position{99, 5});
  a.run();
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 3}));
  broker.publish("t", "4");
  a.run();
  EXPECT_EQ(all_of(one).substr(0, 16), "pending; wrong; ");
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 4}));
}

// ---- GapPolicy::nothing

TEST(ServerBridgePosition, WithPolicyNothingAHoleIsTheReportAlone) {
  Broker broker{.durable = true};
  House a(broker, {.on_gap = GapPolicy::nothing}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.take_calls();
  broker.loses = true;
  broker.publish("t", "2");
  broker.loses = false;
  broker.publish("t", "3");
  a.run();
  broker.fail();
  broker.recover();
  a.run();
  broker.publish("t", "4");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 3; gap t 0; gap t 0; 4; ");
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost", "t outage"}));
  EXPECT_EQ(broker.take_calls().find("1024"), std::string::npos) << "no hole was asked for";
  EXPECT_EQ(a.counters().healed, 0u);
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 4}));
}

}  // namespace
}  // namespace tern::test
