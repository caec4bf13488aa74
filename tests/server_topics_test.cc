// Topics of a running server: the subscribers that receive a publication, the order, and the
// results of publish() and subscribe().
#include "tern/server.h"

#include "support/topic_server.h"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

ServerOptions with_threads(unsigned threads) {
  ServerOptions options;
  options.threads = threads;
  return options;
}

class ServerTopics : public testing::TestWithParam<unsigned> {};

TEST_P(ServerTopics, APublicationReachesEverySubscriberOfAllWorkers) {
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(port).subscribe("now room");
  TopicClient other(port);
  other.subscribe("now elsewhere");
  EXPECT_EQ(house.server.subscribers("room"), 8u);
  const PublishStatus status = house.server.publish("room", "hello");
  EXPECT_EQ(status.value(), PublishStatus::queued);
  EXPECT_GE(status.workers(), 1u);
  EXPECT_LE(status.workers(), GetParam());
  EXPECT_EQ(status.position().offset, 1u);
  for (TopicClient& client : clients) EXPECT_EQ(client.receive(), "hello");
  EXPECT_EQ(other.ask("say nothing"), "nothing");
}

TEST_P(ServerTopics, APublisherDoesNotReceiveItsOwn) {
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  TopicClient first(port);
  TopicClient second(port);
  first.subscribe("now room");
  second.subscribe("now room");
  first.send("publish room mine");
  EXPECT_EQ(second.receive(), "mine");
  second.send("shout room all");
  EXPECT_EQ(first.receive(), "all");
  EXPECT_EQ(second.receive(), "all");
}

TEST_P(ServerTopics, PublicationsAndMessagesKeepTheOrderOfTheCalls) {
  TopicServer house(with_threads(GetParam()));
  TopicClient client(house.start());
  client.subscribe("now a");
  client.subscribe("now b");
  for (int i = 0; i < 100; ++i)
    client.send(std::string("both ") + "ab"[i % 2] + " x" + std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(client.receive(), "x" + std::to_string(i));
    EXPECT_EQ(client.receive(), "after x" + std::to_string(i));
  }
}

TEST_P(ServerTopics, OneThreadsPublicationsToSeveralTopicsStayInOrder) {
  TopicServer house(with_threads(GetParam()));
  TopicClient client(house.start());
  for (const char* topic : {"a", "b", "c"}) client.subscribe(std::string("now ") + topic);
  for (int i = 0; i < 3000; ++i) {
    EXPECT_TRUE(house.server.publish(std::string(1, "abc"[i % 3]), std::to_string(i)));
  }
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
}

// Thousands of publications of two topics wait when the loops begin to deliver them.
TEST_P(ServerTopics, ALongQueueOfTwoTopicsIsMergedInOrder) {
  constexpr int publications = 20'000;
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(port).subscribe("now even");
    clients.back().subscribe("now odd");
  }
  Gate gate(house.server, GetParam());
  for (int i = 0; i < publications; ++i) {
    ASSERT_TRUE(house.server.publish(i % 2 == 0 ? "even" : "odd", std::to_string(i)));
  }
  EXPECT_EQ(house.server.counters().topic_deliveries, 0u);
  gate.open();
  for (TopicClient& client : clients) {
    for (int i = 0; i < publications; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
  }
}

// All of one topic wait before all of the other. One visit does not take them at once.
TEST_P(ServerTopics, AQueueOfOneTopicBeforeAnotherIsDeliveredInOrder) {
  constexpr int publications = 4000;
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  TopicClient client(port);
  client.subscribe("now b");
  client.subscribe("now a");
  Gate gate(house.server, GetParam());
  for (int i = 0; i < publications; ++i) {
    ASSERT_TRUE(house.server.publish("a", std::to_string(i)));
  }
  ASSERT_TRUE(house.server.publish("b", "end"));
  EXPECT_EQ(house.server.counters().topic_deliveries, 0u);
  gate.open();
  for (int i = 0; i < publications; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
  EXPECT_EQ(client.receive(), "end");
}

// The newest value of one topic does not overtake what was published before it in another one.
TEST(ServerTopicsOrder, ALatestValueKeepsItsPlaceAmongOtherTopics) {
  TopicServer house;
  const std::uint16_t port = house.start();
  TopicClient client(port);
  client.subscribe("latest state");
  client.subscribe("now event");
  ASSERT_TRUE(house.server.post_all([&] {
    house.server.publish("state", "1");
    house.server.publish("event", "2");
    house.server.publish("state", "3");
  }));
  EXPECT_EQ(client.receive(), "1");
  EXPECT_EQ(client.receive(), "2");
  EXPECT_EQ(client.receive(), "3");
}

TEST_P(ServerTopics, AllSubscribersSeeOneOrderOfTwoPublishers) {
  constexpr int each = 2000;
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(port).subscribe("now t");
  std::vector<std::thread> publishers;
  for (const char name : {'x', 'y'}) {
    publishers.emplace_back([&, name] {
      const Topic topic = house.server.topic("t");
      for (int i = 0; i < each; ++i) {
        while (topic.publish(name + std::to_string(i)) == PublishStatus::full) {
          std::this_thread::yield();
        }
      }
    });
  }
  std::vector<std::vector<std::string>> seen(clients.size());
  for (std::size_t c = 0; c < clients.size(); ++c) {
    for (int i = 0; i < 2 * each; ++i) seen[c].push_back(clients[c].receive());
  }
  for (std::thread& publisher : publishers) publisher.join();
  for (const auto& other : seen) EXPECT_EQ(other, seen.front());
}

TEST_P(ServerTopics, NothingComesAfterUnsubscribe) {
  TopicServer house(with_threads(GetParam()));
  TopicClient client(house.start());
  client.subscribe("now t");
  EXPECT_EQ(client.ask("leave t"), "left");
  EXPECT_EQ(client.ask("leave t"), "no");
  EXPECT_EQ(client.ask("leave unknown"), "no");
  EXPECT_EQ(house.server.publish("t", "late").value(), PublishStatus::nobody);
  EXPECT_EQ(client.ask("say here"), "here");
  EXPECT_EQ(house.server.subscribers("t"), 0u);
  EXPECT_EQ(house.server.counters().topics, 0u);
}

TEST_P(ServerTopics, AConnectionThatEndsLeavesItsTopics) {
  TopicServer house(with_threads(GetParam()));
  const std::uint16_t port = house.start();
  {
    TopicClient gone(port);
    gone.subscribe("now t");
    gone.subscribe("latest u");
    gone.send("end");
    gone.receive();
  }
  TopicClient stays(port);
  while (house.server.subscribers("t") + house.server.subscribers("u") > 0) stays.ask("say wait");
  EXPECT_EQ(house.server.publish("t", "x").value(), PublishStatus::nobody);
  EXPECT_EQ(house.server.counters().topic_subscriptions, 0u);
}

INSTANTIATE_TEST_SUITE_P(Workers, ServerTopics, testing::Values(1u, 3u));

// ---- results

TEST(ServerTopicsResult, PublishTellsWhatHappened) {
  ServerOptions options;
  options.limits.max_message_bytes = 1000;
  TopicServer house(options);
  const Topic before = house.server.topic("t");
  EXPECT_EQ(before.publish("x").value(), PublishStatus::nobody);
  EXPECT_EQ(before.position().offset, 1u);
  const std::uint16_t port = house.start();
  Server& server = house.server;
  EXPECT_EQ(server.publish("unknown", "x").value(), PublishStatus::nobody);
  EXPECT_EQ(server.publish("unknown", "x").position().offset, 0u);
  EXPECT_EQ(server.publish("t", std::string(1001, 'x')).value(), PublishStatus::too_big);
  EXPECT_EQ(server.publish("unknown", std::string(1001, 'x')).value(), PublishStatus::too_big);
  for (const char* topic : {"t", "unknown"}) {
    EXPECT_EQ(server.publish(topic, "\xFF").value(), PublishStatus::not_utf8);
    EXPECT_EQ(server.publish(topic, "\xFF", {.check_text = false}).value(), PublishStatus::nobody);
    EXPECT_EQ(server.publish(topic, SharedMessage("\xFF")).value(), PublishStatus::not_utf8);
  }
  EXPECT_EQ(server.publish("", "x").value(), PublishStatus::name_invalid);
  EXPECT_EQ(server.publish("a\nb", "x").value(), PublishStatus::name_invalid);
  EXPECT_EQ(server.publish(std::string(256, 'x'), "x").value(), PublishStatus::name_invalid);
  TopicClient client(port);
  client.subscribe("now t");
  EXPECT_EQ(server.publish("t", "y").workers(), 1u);
  EXPECT_EQ(client.receive(), "y");
  EXPECT_EQ(server.publish("t", SharedMessage("z")).value(), PublishStatus::queued);
  EXPECT_EQ(client.receive(), "z");
}

TEST(ServerTopicsResult, ATopicOutlivesItsServer) {
  Topic topic;
  EXPECT_FALSE(topic);
  EXPECT_EQ(topic.publish("x").value(), PublishStatus::stopped);
  {
    TopicServer house;
    house.start();
    topic = house.server.topic("t");
    EXPECT_TRUE(topic.publish("x"));
  }
  const Topic copy = topic;
  EXPECT_EQ(copy.publish("x").value(), PublishStatus::stopped);
  EXPECT_EQ(copy.name(), "t");
  EXPECT_EQ(copy.subscribers(), 0u);
}

TEST(ServerTopicsResult, SubscribeNamesTheLimit) {
  ServerOptions options;
  options.topics.max_subscriptions = 2;
  options.topics.max_topics = 3;
  TopicServer house(options);
  const std::uint16_t port = house.start();
  TopicClient client(port);
  client.subscribe("now a");
  client.subscribe("now b");
  EXPECT_EQ(client.ask("now c"), "the connection has too many subscriptions");
  client.subscribe("now b");
  TopicClient other(port);
  other.subscribe("now c");
  EXPECT_EQ(other.ask("now d"), "the server has too many topics");
  EXPECT_EQ(client.ask("leave a"), "left");
  other.subscribe("now d");
  EXPECT_EQ(other.ask("now"), "a topic's name has 1 to 255 bytes and no control characters");
}

TEST(ServerTopicsResult, AFullInboxRefusesForAllWorkers) {
  ServerOptions options;
  options.topics.max_waiting = 5;  // a topic leaves a part of it to others
  TopicServer house(options);
  TopicClient client(house.start());
  client.subscribe("now t");
  Gate gate(house.server, 1);  // nothing is delivered meanwhile
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(house.server.publish("t", std::to_string(i)));
  EXPECT_EQ(house.server.publish("t", "5").value(), PublishStatus::full);
  gate.open();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(client.receive(), std::to_string(i));
  while (!house.server.publish("t", "next")) std::this_thread::yield();
  EXPECT_EQ(client.receive(), "next");
  EXPECT_GE(house.server.counters().topic_published_full, 1u);
}

TEST(ServerTopicsResult, AHotTopicDoesNotMakeOthersFull) {
  TopicServer house;
  TopicClient client(house.start());
  client.subscribe("now hot");
  client.subscribe("now cold");
  Gate gate(house.server, 1);
  std::size_t hot = 0;
  while (house.server.publish("hot", "x")) ++hot;
  EXPECT_GE(hot, 50'000u);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(house.server.publish("cold", "y")) << i;
  EXPECT_EQ(house.server.publish("hot", "x").value(), PublishStatus::full);
  EXPECT_EQ(house.server.counters().topic_waiting, hot + 1000);
  gate.open();
  for (std::size_t i = 0; i < hot; ++i) ASSERT_EQ(client.receive(), "x");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(client.receive(), "y");
}

// ---- history

TEST(ServerTopicsHistory, ANewSubscriberReceivesTheRetainedValueAfterTheAnswer) {
  TopicServer house;
  house.server.topics("kept.*", {.history = 1});
  TopicClient client(house.start());
  EXPECT_EQ(house.server.publish("kept.a", "1").value(), PublishStatus::nobody);
  EXPECT_EQ(house.server.publish("kept.a", "2").value(), PublishStatus::nobody);
  EXPECT_EQ(house.server.publish("other", "2").value(), PublishStatus::nobody);
  EXPECT_EQ(client.subscribe("retained kept.a").offset, 2u);
  EXPECT_EQ(client.receive(), "2");
  client.subscribe("retained other");
  EXPECT_TRUE(house.server.publish("kept.a", "3"));
  EXPECT_EQ(client.receive(), "3");
}

// The publications before the call still come, and no other subscription begins earlier for it.
TEST(ServerTopicsHistory, UnsubscribeInTheSameHandlerSendsItsOwnHistoryOnly) {
  RunningServer house;
  house.server.topics({.history = 1});
  house.server.route("/", Handlers{.on_message = [](Connection& conn, Message) {
                       conn.subscribe("a", {.from = From::retained}).value();
                       conn.subscribe("b", {.from = From::retained}).value();
                       EXPECT_TRUE(conn.unsubscribe("a"));
                       conn.send("answer");
                     }});
  TopicClient client(house.start());
  for (const char* topic : {"a", "b"}) EXPECT_TRUE(house.server.publish(topic, topic));
  EXPECT_EQ(client.ask("go"), "a");
  EXPECT_EQ(client.receive(), "answer");
  EXPECT_EQ(client.receive(), "b");
}

TEST(ServerTopicsHistory, APositionRecoversAllOrNothing) {
  TopicServer house;
  house.server.topics({.history = 5});
  const std::uint16_t port = house.start();
  TopicClient first(port);
  const std::string epoch = std::to_string(first.subscribe("now t").epoch);
  for (int i = 1; i <= 8; ++i) house.server.publish("t", std::to_string(i));
  const auto ask = [&](const std::string& at) {
    TopicClient client(port);
    std::string seen = client.ask("at " + at + " t");
    seen = seen.substr(seen.find(epoch) + epoch.size());
    client.send("say end");
    for (std::string next; (next = client.receive()) != "end";) seen += " " + next;
    return seen;
  };
  EXPECT_EQ(ask(epoch + " 8"), " 8 yes 0");
  EXPECT_EQ(ask(epoch + " 6"), " 8 yes 0 7 8");
  EXPECT_EQ(ask(epoch + " 3"), " 8 yes 0 4 5 6 7 8");
  EXPECT_EQ(ask(epoch + " 2"), " 8 no 6");
  EXPECT_EQ(ask(epoch + " 9"), " 8 no 8");
  EXPECT_EQ(ask("1 8"), " 8 no 8");
  EXPECT_EQ(house.server.counters().topic_recovered, 3u);
  EXPECT_EQ(house.server.counters().topic_recover_failed, 3u);
}

TEST(ServerTopicsHistory, LastGivesAsManyAsThereAre) {
  TopicServer house;
  house.server.topics({.history = 3});
  TopicClient client(house.start());
  for (int i = 1; i <= 4; ++i) house.server.publish("t", std::to_string(i));
  EXPECT_EQ(client.subscribe("last 2 t").offset, 4u);
  EXPECT_EQ(client.receive(), "3");
  EXPECT_EQ(client.receive(), "4");
  EXPECT_NE(client.ask("last 9 t").find(" 4 no 1"), std::string::npos);
  for (const char* each : {"2", "3", "4"}) EXPECT_EQ(client.receive(), each);
}

TEST(ServerTopicsHistory, RetainedIsTheLastPublicationThatIsKept) {
  Server server;
  server.topics({.history = 2, .format = [](const Publication& publication) {
                   return std::to_string(publication.position.offset) + ' ' +
                          std::string(publication.message.text());
                 }});
  server.topics("none.*", {});
  const auto retained = [&](std::string_view topic) {
    const auto last = server.retained(topic);
    return last ? std::string(last->message().text()) : "(nothing)";
  };
  EXPECT_EQ(retained("room"), "(nothing)");
  server.publish("room", "a");
  server.publish("room", "b");
  server.publish("none.x", "c");
  EXPECT_EQ(retained("room"), "2 b");
  server.publish("room", "");
  EXPECT_EQ(retained("room"), "3 ");
  for (const char* topic : {"none.x", "other", "", "a\nb"}) EXPECT_EQ(retained(topic), "(nothing)");
}

TEST(ServerTopicsHistory, FormatPutsThePositionIntoThePayload) {
  TopicServer house;
  house.server.topics({.history = 2, .format = [](const Publication& publication) {
                         return std::string(publication.topic) + "#" +
                                std::to_string(publication.position.offset) + " " +
                                std::string(publication.message.text());
                       }});
  const std::uint16_t port = house.start();
  TopicClient client(port);
  client.subscribe("now t");
  std::vector<std::thread> publishers;
  for (int p = 0; p < 2; ++p) {
    publishers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) EXPECT_TRUE(house.server.publish("t", "x"));
    });
  }
  for (int i = 1; i <= 1000; ++i) ASSERT_EQ(client.receive(), "t#" + std::to_string(i) + " x");
  for (std::thread& publisher : publishers) publisher.join();
  TopicClient late(port);
  late.subscribe("last 2 t");
  EXPECT_EQ(late.receive(), "t#999 x");
}

// Each publication of the other thread takes the position for which this one has just formatted.
TEST(ServerTopicsHistory, APublisherIsNotOvertakenWithoutEnd) {
  constexpr int too_many = 50;
  Server server({.host = "127.0.0.1"});
  std::atomic<int> others = 0;
  std::atomic<int> calls = 0;
  std::atomic<bool> done = false;
  server.topics({.history = 1, .format = [&](const Publication& publication) {
                   const std::string text(publication.message.text());
                   if (text != "slow" || ++calls > too_many) return text;
                   const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
                   const int before = others;
                   while (others == before && std::chrono::steady_clock::now() < give_up) {
                     std::this_thread::yield();
                   }
                   return text;
                 }});
  const Topic topic = server.topic("t");
  std::thread other([&] {
    while (!done) others += topic.publish("fast") ? 1 : 0;
  });
  while (others == 0) std::this_thread::yield();
  EXPECT_EQ(topic.publish("slow").value(), PublishStatus::nobody);
  done = true;
  other.join();
  EXPECT_LE(calls, 4);
}

// ---- hooks

TEST(ServerTopicsHooks, OnTopicTellsTheFirstAndTheLastSubscriber) {
  TopicServer house(with_threads(2));
  Inbox<std::string> told;
  house.server.on_topic([&](std::string_view topic, TopicEvent event) {
    told.put(std::string(topic) + (event == TopicEvent::wanted ? " wanted" : " unwanted"));
  });
  const std::uint16_t port = house.start();
  TopicClient first(port);
  TopicClient second(port);
  first.subscribe("now t");
  EXPECT_EQ(told.take(), "t wanted");
  second.subscribe("now t");
  second.subscribe("now u");
  EXPECT_EQ(told.take(), "u wanted");
  first.ask("leave t");
  second.ask("leave t");
  EXPECT_EQ(told.take(), "t unwanted");
  house.stop(std::chrono::nanoseconds(0));
  EXPECT_EQ(told.take(), "u unwanted");
}

// A session that others can reach in its own loop.
struct Known {
  explicit Known(Connection*& known) : known_(known) {}
  void on_open(Connection& conn) {
    known_ = &conn;
    conn.subscribe("t");
  }
  void on_message(Connection&, Message) {}
  Connection*& known_;
};

TEST(ServerTopicsHooks, OnTopicThatNeverEndsLeavesTheLoopToOthers) {
  RunningServer house;
  Connection* known = nullptr;
  constexpr int most = 1'000'000;
  std::atomic<int> told = 0;
  std::atomic<bool> turned = false;
  std::promise<bool> ended;
  house.server.route<Known>("/", std::ref(known));
  house.server.on_worker_start([&](Loop& loop) {
    loop.every(std::chrono::nanoseconds(1), [&] {
      if (told > 0) turned = true;
    });
  });
  // Each call changes the topic once more.
  house.server.on_topic([&, over = false](std::string_view, TopicEvent event) mutable {
    if (over) return;
    over = turned || ++told == most;
    if (over) return ended.set_value(turned);
    event == TopicEvent::wanted ? static_cast<void>(known->unsubscribe("t"))
                                : static_cast<void>(known->subscribe("t"));
  });
  const std::uint16_t port = house.start();
  TopicClient client(port);
  EXPECT_TRUE(ended.get_future().get());
  house.stop(std::chrono::nanoseconds(0));
}

TEST(ServerTopicsHooks, EachWorkerStartsWithItsLoop) {
  TopicServer house(with_threads(3));
  Inbox<Loop*> loops;
  Inbox<Loop*> again;
  house.server.on_worker_start([&](Loop& loop) {
    loops.put(&loop);
    loop.after(std::chrono::nanoseconds(0), [&] { again.put(&loop); });
  });
  house.start();
  std::set<Loop*> seen;
  for (int i = 0; i < 3; ++i) seen.insert(loops.take().value());
  EXPECT_EQ(seen.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(seen.count(again.take().value()), 1u);
}

TEST(ServerTopicsHooks, ForEachVisitsEveryOpenConnection) {
  TopicServer house(with_threads(3));
  EXPECT_FALSE(house.server.for_each([](Connection&) {})) << "the server does not run";
  EXPECT_FALSE(house.server.post_all([] {}));
  const std::uint16_t port = house.start();
  std::vector<TopicClient> clients;
  for (int i = 0; i < 300; ++i) clients.emplace_back(port);
  for (TopicClient& client : clients) client.ask("say ready");
  EXPECT_TRUE(house.server.for_each([](Connection& conn) { conn.send("you"); }));
  for (TopicClient& client : clients) EXPECT_EQ(client.receive(), "you");
  Inbox<std::thread::id> threads;
  EXPECT_TRUE(house.server.post_all([&] { threads.put(std::this_thread::get_id()); }));
  std::set<std::thread::id> seen;
  for (int i = 0; i < 3; ++i) seen.insert(threads.take().value());
  EXPECT_EQ(seen.size(), 3u);
}

TEST(ServerTopicsHooks, OptionsOfTopicsAreCheckedByListen) {
  const auto problem = [](const std::string& pattern, TopicOptions options) {
    Server server({.host = "127.0.0.1"});
    server.topics(pattern, std::move(options));
    const auto listening = server.listen();
    return listening ? std::string() : listening.error().message();
  };
  EXPECT_EQ(problem("room.*", {}), "");
  EXPECT_EQ(problem("a*b*", {}), "listen: topics: '*' may only end a pattern: \"a*b*\"");
  EXPECT_EQ(problem("", {}), "listen: topics: no topic has such a name: \"\"");
  EXPECT_EQ(problem("t", {.history_age = std::chrono::nanoseconds(0)}),
            "listen: topics: history_age of \"t\" is not positive");
}

}  // namespace
}  // namespace tern::test
