// Bridged topics of a broker that numbers publications and has a history of them: positions,
// recovery on another server, holes, and gaps.
#include "tern/bridge.h"

#include "support/bridge_house.h"

#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using House = BridgeHouse;

std::string at(const Broker& broker, std::uint64_t offset, const std::string& topic = "t") {
  return "at " + std::to_string(broker.epoch) + " " + std::to_string(offset) + " " + topic;
}

TEST(ServerBridgeHistory, TheTopicHasThePositionOfTheBroker) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  for (int i = 1; i <= 5; ++i) broker.publish("t", std::to_string(i));
  a.run();
  TestPeer one = subscriber(a);
  broker.publish("t", "6");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 6; ");
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 6}));
  TestPeer two = subscriber(a, at(broker, 5));
  EXPECT_EQ(all_of(two), "yes; 6; ") << "from the own history";
  EXPECT_EQ(broker.take_calls(), "want t; history t 0 0; ") << "only the position was asked for";
  EXPECT_EQ(a.counters().histories, 1u);
}

TEST(ServerBridgeHistory, ASubscriberRecoversOnAnotherServer) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  {
    TestPeer one = subscriber(a);
    for (int i = 1; i <= 5; ++i) a.server().publish("t", std::to_string(i));
    a.run();
    EXPECT_EQ(all_of(one), "pending; 1; 2; 3; 4; 5; ");
  }
  House b(broker, {}, 10);
  TestPeer two = b.connect();
  two.send(at(broker, 2));
  b.server().publish("t", "6");
  EXPECT_EQ(all_of(two), "pending; ");
  b.run();
  EXPECT_EQ(all_of(two), "3; 4; 5; 6; ");
  EXPECT_TRUE(b.gaps.empty());
  EXPECT_EQ(b.server().counters().topic_recovered, 1u);
  TestPeer three = subscriber(b, at(broker, 4));
  EXPECT_EQ(all_of(three), "yes; 5; 6; ");
  TestPeer four = subscriber(b, at(broker, 0));
  EXPECT_EQ(all_of(four), "pending; 1; 2; 3; 4; 5; 6; ");
  TestPeer five = subscriber(b, at(broker, 6));
  b.server().publish("t", "7");
  b.run();
  EXPECT_EQ(all_of(five), "yes; 7; ");
  EXPECT_EQ(all_of(two), "7; ");
}

TEST(ServerBridgeHistory, AStormAsksTheBrokerOnce) {
  Broker broker{.durable = true};
  for (int i = 1; i <= 20; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 100);
  std::vector<TestPeer> peers;
  for (int i = 0; i < 50; ++i) {
    peers.push_back(b.connect());
    peers.back().send(at(broker, 18));
  }
  EXPECT_EQ(broker.take_calls(), "want t; history t 18 100; ");
  b.run();
  for (TestPeer& peer : peers) EXPECT_EQ(all_of(peer), "pending; 19; 20; ");
  // Others need more, and are answered together.
  peers.clear();
  for (int i = 0; i < 50; ++i) {
    peers.push_back(b.connect());
    peers.back().send(at(broker, static_cast<std::uint64_t>(16 - i % 2)));
  }
  b.run();
  b.run();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(all_of(peers[static_cast<std::size_t>(i)]),
              i % 2 == 0 ? "pending; 17; 18; 19; 20; " : "pending; 16; 17; 18; 19; 20; ");
  }
  EXPECT_EQ(broker.take_calls(), "history t 16 100; history t 0 100; ");
}

TEST(ServerBridgeHistory, TheRetainedValueIsThatOfTheBroker) {
  Broker broker{.durable = true};
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 10);
  TestPeer one = subscriber(b, "last 1 t");
  EXPECT_EQ(all_of(one), "pending; 3; ");
  TestPeer two = subscriber(b, "last 5 t");
  EXPECT_EQ(all_of(two), "yes; 1; 2; 3; ");
}

TEST(ServerBridgeHistory, WhatIsLostIsToldAndNotHidden) {
  Broker broker{.durable = true};
  broker.kept = 3;
  for (int i = 1; i <= 10; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House b(broker, {}, 10);
  TestPeer one = subscriber(b, at(broker, 2));
  broker.publish("t", "11");
  b.run();
  EXPECT_EQ(all_of(one), "pending; gap t 8; 11; ");
  EXPECT_EQ(b.server().counters().topic_recover_failed, 1u);
  TestPeer two = subscriber(b, "at 5 9 t");
  EXPECT_EQ(all_of(two).substr(0, 3), "no;") << "another epoch";
  broker.fail();
  House c(broker, {}, 10);
  TestPeer three = subscriber(c, at(broker, 9));
  EXPECT_EQ(all_of(three), "no; ") << "there is no broker to ask";
}

TEST(ServerBridgeHistory, AnAnswerThatDoesNotComeIsGivenUp) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House b(broker, {.history_time = 5s}, 10);
  TestPeer one = b.connect();
  one.send(at(broker, 0));
  b.bench().advance(4900ms);
  EXPECT_EQ(all_of(one), "pending; ");
  b.bench().advance(200ms);
  EXPECT_EQ(all_of(one), "gap t 1; ");
  b.run();
  broker.publish("t", "2");
  b.run();
  EXPECT_EQ(all_of(one), "2; ");
}

TEST(ServerBridgeHistory, AHoleIsFilledBeforeAnythingNewer) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.loses = true;
  broker.publish("t", "2");
  broker.publish("t", "3");
  broker.loses = false;
  broker.publish("t", "4");
  broker.publish("t", "5");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; 4; 5; ");
  EXPECT_TRUE(a.gaps.empty());
  EXPECT_EQ(a.counters().healed, 1u);
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 5}));
}

TEST(ServerBridgeHistory, AnOutageIsHealedWithoutAGap) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  TestPeer publisher = subscriber(a, "sub u");
  publisher.send("sub t");
  broker.publish("t", "1");
  a.run();
  broker.fail();
  broker.loses = true;
  broker.publish("t", "2");
  broker.loses = false;
  broker.recover();
  broker.publish("t", "3");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ");
  broker.fail();
  broker.recover();
  a.run();
  EXPECT_EQ(all_of(one), "") << "nothing was published meanwhile";
  EXPECT_TRUE(a.gaps.empty()) << "u has a position before its first publication";
}

TEST(ServerBridgeHistory, AFirstPublicationThatIsLostIsFilled) {
  for (const std::size_t history : {0u, 10u}) {
    Broker broker{.durable = true};
    broker.publish("t", "before");
    House a(broker, {}, history);
    a.run();
    TestPeer one = subscriber(a);
    EXPECT_EQ(a.server().topic("t").position(), (Position{77, 1}));
    broker.loses = true;
    broker.publish("t", "2");
    broker.loses = false;
    broker.publish("t", "3");
    a.run();
    EXPECT_EQ(all_of(one), "pending; 2; 3; ");
    EXPECT_EQ(a.counters().healed, 1u);
    EXPECT_TRUE(a.gaps.empty());
  }
}

// The outage begins before the first publication, and hides it.
TEST(ServerBridgeHistory, AnOutageBeforeTheFirstPublicationIsHealed) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.fail();
  broker.loses = true;
  broker.publish("t", "1");
  broker.loses = false;
  broker.recover();
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; ");
  EXPECT_TRUE(a.gaps.empty());
}

TEST(ServerBridgeHistory, ThePositionIsAskedForOnce) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  std::vector<TestPeer> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(a.connect());
    peers.back().send("sub t");
  }
  EXPECT_EQ(broker.take_calls(), "want t; history t 0 0; ");
  a.run();
  peers.push_back(subscriber(a));
  EXPECT_EQ(broker.take_calls(), "") << "it is known";
  peers.clear();
  a.bench().advance(6s);
  TestPeer next = subscriber(a);
  EXPECT_EQ(broker.take_calls(), "unwant t; want t; history t 0 0; ");
}

// The answer may overtake notifications of publications that it counts.
TEST(ServerBridgeHistory, ThePositionHidesNoPublicationThatComesLater) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send("sub t");
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.bridges.at(0)->answer_all();
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 3}));
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ");
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 3}));
  EXPECT_TRUE(a.gaps.empty());
}

TEST(ServerBridgeHistory, AQuestionForThePositionIsFollowedByOneForMore) {
  Broker broker{.durable = true};
  for (int i = 1; i <= 3; ++i) broker.publish("t", std::to_string(i));
  broker.queue.clear();
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send("sub t");
  TestPeer two = a.connect();
  two.send(at(broker, 1));
  TestPeer three = subscriber(a, "sub u");
  EXPECT_EQ(all_of(one), "pending; ");
  EXPECT_EQ(all_of(two), "pending; 2; 3; ");
  EXPECT_EQ(broker.take_calls(), "want t; history t 0 0; want u; history u 0 0; history t 1 10; ");
  // A hole that is seen while the position is asked for.
  TestPeer four = a.connect();
  four.send("sub v");
  broker.publish("v", "1");
  broker.bridges.at(0)->deliver(broker.queue.front());
  broker.queue.clear();
  broker.loses = true;
  broker.publish("v", "2");
  broker.loses = false;
  broker.publish("v", "3");
  a.run();
  EXPECT_EQ(all_of(four), "pending; 1; 2; 3; ");
  EXPECT_TRUE(a.gaps.empty());
}

// Topics that were subscribed before the broker was there, and topics after a gap.
TEST(ServerBridgeHistory, ThePositionIsAskedForWhenTheBrokerIsThere) {
  Broker broker{.durable = true, .up = false};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  EXPECT_EQ(broker.take_calls(), "want t; ");
  broker.up = true;
  broker.bridges.at(0)->sink().state(BridgeState::up, "fake");
  EXPECT_EQ(broker.take_calls(), "history t 0 0; ");
  a.run();
  EXPECT_EQ(a.server().topic("t").position(), (Position{77, 0}));
  broker.publish("t", "1");
  a.run();
  broker.fail();
  broker.history.clear();
  broker.epoch = 78;
  broker.recover();
  a.run();
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t outage"}));
  broker.loses = true;
  broker.publish("t", "new 1");
  broker.loses = false;
  broker.publish("t", "new 2");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; gap t 0; new 1; new 2; ");
}

// The first loop ends a part of them in each turn, and serves connections between.
TEST(ServerBridgeHistory, ManyQuestionsWithoutAnAnswerEndAll) {
  constexpr std::size_t count = 3'000;
  Broker broker{.durable = true};
  ServerOptions options;
  options.topics.max_subscriptions = count;
  House a(broker, {.history_time = 5s}, 10, options);
  TestPeer one = a.connect();
  for (std::size_t i = 0; i < count; ++i) one.send("last 1 t" + std::to_string(i));
  a.bench().advance(4900ms);
  EXPECT_EQ(a.counters().histories, 0u);
  a.bench().advance(200ms);
  EXPECT_EQ(a.counters().histories, count);
}

TEST(ServerBridgeHistory, AHoleThatCannotBeFilledIsAGap) {
  for (const bool new_epoch : {false, true}) {
    Broker broker{.durable = true};
    House a(broker, {}, 10);
    TestPeer one = subscriber(a);
    broker.publish("t", "1");
    broker.publish("t", "2");
    a.run();
    broker.loses = true;
    if (new_epoch) {
      broker.epoch = 78;
      broker.history.clear();
    }
    broker.publish("t", "3");
    broker.publish("t", "4");
    broker.loses = false;
    broker.kept = new_epoch ? 100 : 2;
    broker.publish("t", "5");
    a.run();
    const std::string received = all_of(one);
    EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
    EXPECT_NE(received.find("gap t 0; "), std::string::npos) << received;
    EXPECT_NE(received.find("5; "), std::string::npos) << received;
    EXPECT_EQ(received.find("3; ") != std::string::npos, new_epoch) << received;
    const Position last = a.server().topic("t").position();
    EXPECT_EQ(last, (Position{broker.epoch, new_epoch ? 3u : 5u}));
    TestPeer two = subscriber(a, "at 77 2 t");
    EXPECT_EQ(all_of(two), new_epoch ? "no; " : "pending; gap t 3; ");
    broker.publish("t", "6");
    a.run();
    EXPECT_EQ(all_of(one), "6; ");
  }
}

// The broker was restarted with an older state, and numbers again from there.
TEST(ServerBridgeHistory, ABrokerThatGoesBackIsAGap) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  for (int i = 1; i <= 5; ++i) broker.publish("t", std::to_string(i));
  a.run();
  broker.fail();
  broker.history["t"].resize(2);
  broker.recover();
  a.run();
  broker.publish("t", "new 3");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; 4; 5; gap t 0; new 3; ");
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
}

TEST(ServerBridgeHistory, ABrokerThatGoesBackIsAGapAlsoWhileAClientComesBack) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.publish("t", "2");
  broker.queue.clear();
  House a(broker, {}, 3);
  TestPeer one = subscriber(a);
  for (int i = 3; i <= 5; ++i) broker.publish("t", std::to_string(i));
  a.run();
  broker.fail();
  broker.history["t"].resize(2);
  broker.recover();
  TestPeer two = a.connect();
  two.send(at(broker, 1));  // it joins the question of the outage
  a.run();
  EXPECT_EQ(all_of(one), "pending; 3; 4; 5; gap t 0; ");
  broker.publish("t", "new 3");
  a.run();
  EXPECT_EQ(all_of(one), "new 3; ");
  EXPECT_EQ(a.gaps, (std::vector<std::string>{"t lost"}));
}

TEST(ServerBridgeHistory, RepeatedPublicationsAreDropped) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  broker.publish("t", "2");
  broker.queue.push_back(broker.queue[0]);
  broker.queue.push_back(broker.queue[1]);
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1; 2; ");
  EXPECT_EQ(a.counters().repeated, 2u);
}

// A subscriber that was on a faster server has publications that this one does not have yet.
TEST(ServerBridgeHistory, ASubscriberThatIsAheadReceivesNothingTwice) {
  Broker broker{.durable = true};
  House a(broker, {}, 10);
  TestPeer one = subscriber(a);
  broker.publish("t", "1");
  a.run();
  broker.publish("t", "2");
  broker.publish("t", "3");
  TestPeer two = a.connect();
  two.send(at(broker, 2));
  EXPECT_EQ(all_of(two), "pending; ");
  a.run();
  EXPECT_EQ(all_of(two), "3; ");
  EXPECT_EQ(all_of(one), "pending; 1; 2; 3; ");
}

TEST(ServerBridgeHistory, FormattedPublicationsHaveThePositionOfTheBroker) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House a(broker, {}, 0);
  a.server().topics("*", {.history = 10, .format = [](const Publication& p) {
                            return std::to_string(p.position.offset) + "=" +
                                   std::string(p.message.text());
                          }});
  TestPeer one = subscriber(a, at(broker, 0));
  broker.publish("t", "2");
  a.run();
  EXPECT_EQ(all_of(one), "pending; 1=1; 2=2; ");
}

TEST(ServerBridgeHistory, AWaitingSubscriptionMayEnd) {
  Broker broker{.durable = true};
  broker.publish("t", "1");
  broker.queue.clear();
  House a(broker, {}, 10);
  TestPeer one = a.connect();
  one.send(at(broker, 0));
  one.send("leave t");
  TestPeer two = a.connect();
  two.send(at(broker, 0));
  two.drop();
  TestPeer three = a.connect();
  three.send(at(broker, 0));
  three.send("sub u");
  a.server().publish("u", "u");
  a.run();
  EXPECT_EQ(all_of(one), "pending; ");
  EXPECT_EQ(all_of(three), "pending; pending; u; 1; ");
}

}  // namespace
}  // namespace tern::test
