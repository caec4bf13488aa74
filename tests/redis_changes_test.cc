// A server that changes under the link of the Redis bridge: it loses its scripts, becomes a
// replica, or refuses single topics.
#include "support/redis_peer.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using tern::SharedMessage;
using tern::redis::History;
using tern::test::bulk;
using tern::test::confirm;
using tern::test::history;
using tern::test::Words;
using namespace std::chrono_literals;

class RedisChanges : public tern::test::RedisPeer {
 protected:
  // The script and the body of a publication, or the script of a question.
  std::string next_script() {
    const Words words = commands->next();
    if (words.size() < 2) return "nothing";
    if (words[0] == "SCRIPT") return "LOAD";
    if (words[0] != "EVALSHA") return words[0];
    return words[1] == "pub" ? "pub " + words[6].substr(20) : words[1];
  }
  Words next_scripts(int count) {
    Words all;
    for (int i = 0; i < count; ++i) all.push_back(next_script());
    return all;
  }
};

constexpr std::string_view no_script = "-NOSCRIPT No matching script.\r\n";

// SCRIPT FLUSH. The server has run the first publication, and none after it.
TEST_F(RedisChanges, AServerThatLostItsScriptsReceivesAllAgainInTheirOrder) {
  ASSERT_TRUE(connect({.history = History{}}));
  publish("a", "1");
  publish("a", "2");
  ASSERT_TRUE(link->history("a", {7, 1}, 9));
  publish("a", "3");
  EXPECT_EQ(next_scripts(4), (Words{"pub 1", "pub 2", "read", "pub 3"}));
  commands->send(":1\r\n" + std::string(no_script));
  ASSERT_TRUE(link->poll(-1, 1000ms));
  publish("a", "4");  // it must not overtake the others
  ASSERT_TRUE(commands->is_quiet());
  commands->send(no_script);
  commands->send(no_script);
  pump([&] { return !commands->is_quiet(); });
  EXPECT_EQ(next_scripts(6), (Words{"LOAD", "LOAD", "pub 2", "read", "pub 3", "pub 4"}));
  commands->send(bulk("pub") + bulk("read") + ":2\r\n" + history(2, {"2"}) + ":3\r\n:4\r\n");
  pump([&] { return !subscriber->is_quiet(); });
  EXPECT_EQ(subscriber->next(), (Words{"PING", "history"}));
  subscriber->send("*2\r\n$4\r\npong\r\n$7\r\nhistory\r\n");
  expect_events({"history a 2 2"});
  EXPECT_TRUE(events.logged.empty());
  EXPECT_TRUE(events.refused.empty());
  publish("a", "5");
  EXPECT_EQ(next_script(), "pub 5");
}

TEST_F(RedisChanges, AServerThatKeepsNoScriptIsLeft) {
  ASSERT_TRUE(connect({.history = History{}}));
  publish("a", "1");
  EXPECT_EQ(next_script(), "pub 1");
  commands->send(no_script);
  pump([&] { return !commands->is_quiet(); });
  EXPECT_EQ(next_scripts(3), (Words{"LOAD", "LOAD", "pub 1"}));
  commands->send(bulk("pub") + bulk("read"));
  commands->send(no_script);
  EXPECT_NE(pump_until_it_fails().find("NOSCRIPT"), std::string::npos);
}

TEST_F(RedisChanges, APublicationThatIsToBeSentAgainIsToldWhenTheConnectionEnds) {
  ASSERT_TRUE(connect({.history = History{}}));
  for (const char* body : {"1", "2"}) publish("a", body);
  EXPECT_EQ(next_scripts(2), (Words{"pub 1", "pub 2"}));
  commands->send(no_script);
  commands.reset();
  pump_until_it_fails();
  link->close();
  ASSERT_EQ(events.logged.size(), 1u);
  EXPECT_NE(events.logged[0].find("before 2 publications"), std::string::npos);
}

// PUBLISH works on a replica, and reaches only the subscribers there.
TEST_F(RedisChanges, AServerThatBecameAReplicaIsLeft) {
  role_interval = 0ms;
  ASSERT_TRUE(connect());
  pump([&] { return !commands->is_quiet(); });
  EXPECT_EQ(commands->next(), Words{"ROLE"});
  commands->send("*3\r\n" + bulk("master") + ":0\r\n*0\r\n");
  pump([&] { return !commands->is_quiet(); });
  EXPECT_EQ(commands->next(), Words{"ROLE"});
  commands->send("*5\r\n" + bulk("slave") + bulk("a") + ":1\r\n" + bulk("connected") + ":1\r\n");
  EXPECT_NE(pump_until_it_fails().find("replica"), std::string::npos);
}

TEST_F(RedisChanges, AUserWithoutTheRightIsNotAskedForTheRoleAgain) {
  role_interval = 0ms;
  refuse("ROLE", "-NOPERM this user has no permissions\r\n");
  ASSERT_TRUE(connect());
  ASSERT_TRUE(link->ping());
  ASSERT_TRUE(link->poll(-1, 0ms));
  ASSERT_TRUE(link->poll(-1, 0ms));
  EXPECT_EQ(commands->next(), Words{"PING"});
  EXPECT_TRUE(commands->is_quiet());
}

constexpr std::string_view no_channel =
    "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";

// The server subscribes none of a command if one of its channels is refused.
TEST_F(RedisChanges, ARefusedSubscriptionConcernsOnlyItsTopic) {
  ASSERT_TRUE(connect());
  const std::vector<std::string_view> topics = {"a", "b", "c"};
  ASSERT_TRUE(link->subscribe(topics));
  ASSERT_TRUE(link->flush());
  EXPECT_EQ(subscriber->next(), (Words{"SUBSCRIBE", "tern.a", "tern.b", "tern.c"}));
  subscriber->send(no_channel);
  pump([&] { return !subscriber->is_quiet(); });
  for (const char* channel : {"tern.a", "tern.b", "tern.c"}) {
    EXPECT_EQ(subscriber->next(), (Words{"SUBSCRIBE", channel}));
  }
  publish("a", "behind the subscriptions");
  subscriber->send(confirm("tern.a"));
  subscriber->send(no_channel);
  expect_events({"gap"});
  EXPECT_TRUE(commands->is_quiet());
  subscriber->send(confirm("tern.c"));
  pump([&] { return !commands->is_quiet(); });
  EXPECT_EQ(commands->next(), (Words{"PUBLISH", "tern.a", "behind the subscriptions"}));
  push("tern.a", "x");
  push("tern.c", "y");
  expect_events({"a x", "c y"});
  ASSERT_EQ(events.logged.size(), 1u);
  EXPECT_NE(events.logged[0].find("subscription of the topic \"b\": NOPERM"), std::string::npos);
}

// What this server publishes to such a topic does not come back, so nothing is kept until then.
TEST_F(RedisChanges, PublicationsToARefusedTopicPass) {
  ASSERT_TRUE(connect());
  const std::string_view topic = "b";
  ASSERT_TRUE(link->subscribe({&topic, 1}));
  ASSERT_TRUE(link->flush());
  subscriber->send(no_channel);
  expect_events({"gap"});
  const std::string megabyte(std::size_t{1} << 20, 'x');
  constexpr int count = 12;
  std::atomic<bool> has_all{false};
  std::thread server([&] {
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(commands->next().size(), 3u);
      commands->send(":0\r\n");
    }
    has_all = true;
  });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(link->publish("b", SharedMessage(megabyte), {1, 7}));
  }
  pump([&] { return has_all.load(); });
  server.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s) << "each beyond 8 MiB waits for 5 s";
}

}  // namespace
