// The link of the Redis bridge against a server that the test plays, so that answers and
// notifications come in every order.
#include "redis/link.h"
#include "support/raw_socket.h"
#include "support/redis_peer.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using tern::Origin;
using tern::Position;
using tern::SharedMessage;
using tern::redis::History;
using tern::redis::Link;
using tern::redis::Options;
using tern::redis::Payload;
using tern::test::bulk;
using tern::test::confirm;
using tern::test::history;
using tern::test::RawSocket;
using tern::test::Words;
using namespace std::chrono_literals;

class RedisLink : public tern::test::RedisPeer {};

TEST_F(RedisLink, LogsInOnBothConnections) {
  ASSERT_TRUE(connect());
  const Words login{"AUTH", "app", "secret"};
  EXPECT_EQ(received, (std::vector<Words>{login, {"ROLE"}, {"SELECT", "3"}}));
  ASSERT_EQ(channels.size(), 2u);
  EXPECT_EQ(channels[0], login);
  EXPECT_TRUE(channels[1][1].starts_with("tern.\x1fprobe:"));
}

TEST_F(RedisLink, ARefusalNamesTheReasonAndNotThePassword) {
  const struct {
    const char* command;
    std::string answer;
    const char* words;
  } rows[] = {
      {"AUTH", "-WRONGPASS invalid\r\n", "the user or the password: WRONGPASS invalid"},
      {"ROLE", "-NOAUTH Authentication required.\r\n", "it wants a password: NOAUTH"},
      {"ROLE", "*5\r\n" + bulk("slave") + bulk("a") + ":1\r\n" + bulk("connected") + ":1\r\n",
       "replica"},
      {"SELECT", "-ERR DB index is out of range\r\n", "no such database: ERR DB"},
      {"SCRIPT", "-NOPERM no\r\n", "scripts of the durable mode: NOPERM no"},
      {"SUBSCRIBE", "-NOPERM no\r\n", "it refuses to subscribe: NOPERM no"},
      {"SELECT", "HTTP/1.1 400\r\n", "not the protocol of Redis"},
  };
  for (const auto& row : rows) {
    refuse(row.command, row.answer);
    const auto connected = connect({.history = History{}});
    ASSERT_FALSE(connected) << row.words;
    EXPECT_NE(connected.error().message().find(row.words), std::string::npos)
        << connected.error().message();
    EXPECT_EQ(connected.error().message().find("secret"), std::string::npos);
  }
}

TEST_F(RedisLink, AUserWithoutTheRightToAskForTheRoleConnects) {
  refuse("ROLE", "-NOPERM this user has no permissions\r\n");
  EXPECT_TRUE(connect());
}

TEST_F(RedisLink, NoServerIsAnErrorOfTheSystem) {
  RawSocket listener = RawSocket::bound();
  link.emplace(Options{.address = "127.0.0.1:" + std::to_string(listener.port())});
  const auto connected = link->connect(0, events);
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), std::errc::connection_refused);
  link->close();
  EXPECT_EQ(link->server_name(0), "redis://127.0.0.1:" + std::to_string(listener.port()));
}

TEST_F(RedisLink, AServerThatDoesNotAnswerIsGivenUp) {
  const RawSocket listener = RawSocket::bound();
  listener.listen();
  link.emplace(
      Options{.address = "127.0.0.1:" + std::to_string(listener.port()), .connect_timeout = 20ms});
  const auto connected = link->connect(0, events);
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), tern::Errc::timed_out);
  link->close();
}

TEST_F(RedisLink, InterruptEndsAConnectThatWaits) {
  const RawSocket listener = RawSocket::bound();
  listener.listen();
  link.emplace(Options{.address = "127.0.0.1:" + std::to_string(listener.port())});
  std::vector<RawSocket> accepted;
  std::thread other([&] {
    accepted.push_back(listener.accept());
    link->interrupt();
  });
  const auto connected = link->connect(0, events);
  other.join();
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), tern::Errc::stopped);
  link->close();
}

TEST_F(RedisLink, PublicationsPassRaw) {
  ASSERT_TRUE(connect());
  subscribe("a");
  pump([&] { return events.alive > 0; });
  publish("a", "hello", {1, 2});
  EXPECT_EQ(commands->next(), (Words{"PUBLISH", "tern.a", "hello"}));
  commands->send(":1\r\n");
  push("tern.a", "hello");
  push("other.a", "not ours");
  push("tern.a", "");
  expect_events({"a from 2 hello", "a "});
}

// The connection that subscribes may be cut off while the other one works. What is kept of raw
// publications until they come back must not grow meanwhile.
TEST_F(RedisLink, PublicationsThatDoNotComeBackAreBounded) {
  constexpr int count = 40;
  ASSERT_TRUE(connect());
  subscribe("a");
  pump([&] { return events.alive > 0; });
  const std::string megabyte(std::size_t{1} << 20, 'x');
  int most = 0;
  std::thread server([&] {
    int came = 0;
    int back = 0;
    while (back < count) {
      if (came < count && !commands->is_quiet()) {
        ASSERT_EQ(commands->next().at(0), "PUBLISH");
        commands->send(":1\r\n");
        most = std::max(most, ++came - back);
      } else {
        push("tern.a", megabyte);
        ++back;
      }
    }
  });
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(link->publish("a", SharedMessage(megabyte), {1, 7}));
  }
  pump([&] { return events.lines.size() == count; });
  server.join();
  EXPECT_LE(most, 10) << "MiB were kept";
  for (const std::string& line : events.lines) EXPECT_TRUE(line.starts_with("a from 7 x"));
}

// It costs its sender 13 bytes, and would cost 8 GB of addresses and seconds of CPU.
TEST_F(RedisLink, AnArrayOfABillionElementsEndsTheConnection) {
  for (const bool on_subscriber : {true, false}) {
    ASSERT_TRUE(connect());
    (on_subscriber ? subscriber : commands)->send("*1000000000\r\n");
    tern::Result<void> polled;
    for (int i = 0; i < 50 && polled; ++i) polled = link->poll(-1, 100ms);
    ASSERT_FALSE(polled);
    EXPECT_NE(polled.error().message().find("not the protocol"), std::string::npos);
    link->close();
  }
}

// Bytes that no server sends, or that answer no command. They end the connection or are ignored,
// and a publication behind them is delivered only if the connection goes on.
TEST_F(RedisLink, BytesThatBreakTheProtocolAreSurvived) {
  std::string nested;
  for (int i = 0; i < 100; ++i) nested += "*1\r\n";
  const Words attacks = {
      "*-1\r\n",
      "*0\r\n",
      "*-7\r\n",
      "$-1\r\n",
      "$-5\r\n",
      ":5\r\n",
      ":x\r\n",
      "+OK\r\n",
      "-ERR unknown\r\n",
      "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
      "*3\r\n$7\r\nmessage\r\n:5\r\n*0\r\n",
      "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$6\r\ntern.a\r\n$1\r\nx\r\n",
      "*99999999999999999999\r\n",
      "*1152921504606846976\r\n",
      "$2147483647\r\nxx",
      "$99999999999999999999\r\nxx",
      "*3\r\n$9\r\nsubscribe\r\n$6\r\ntern.z\r\n:1\r\n",
      "*3\r\n$7\r\nmessage\r\n$3\r\nter\r\n$1\r\nx\r\n",
      std::string("\0\0\0\r\n", 5),
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "\x16\x03\x01\x02",
      std::string(std::size_t{1} << 20, 'A'),
      nested,
  };
  for (const bool on_subscriber : {true, false}) {
    for (const std::string& attack : attacks) {
      SCOPED_TRACE((on_subscriber ? "subscriber: " : "commands: ") + attack.substr(0, 40));
      ASSERT_TRUE(connect());
      subscribe("a");
      (on_subscriber ? subscriber : commands)->send(attack);
      if (!on_subscriber || !attack.starts_with('$')) push("tern.a", "good");
      subscriber.reset();
      commands.reset();
      events.lines.clear();
      pump_until_it_fails();
      for (const std::string& line : events.lines) EXPECT_EQ(line, "a good");
      link->close();
    }
  }
}

TEST_F(RedisLink, ARefusedPublicationDoesNotComeBack) {
  ASSERT_TRUE(connect());
  subscribe("a");
  pump([&] { return events.alive > 0; });
  publish("a", "1", {1, 11});
  publish("a", "2", {1, 12});
  commands->send("-OOM x\r\n:1\r\n");
  pump([&] { return !events.refused.empty(); });
  push("tern.a", "2");
  expect_events({"a from 12 2"});
}

TEST_F(RedisLink, AnEnvelopeCarriesTheOrigin) {
  ASSERT_TRUE(connect({.payload = Payload::envelope}));
  publish("a", "hello", {1, 2});
  const Words command = commands->next();
  ASSERT_EQ(command.size(), 3u);
  commands->send(":1\r\n");
  push("tern.a", command[2]);
  push("tern.a", "of redis-cli");
  expect_events({"a from 2 hello", "a of redis-cli"});
}

TEST_F(RedisLink, APublicationWaitsUntilTheSubscriptionIsConfirmed) {
  ASSERT_TRUE(connect());
  const std::string_view topic = "a";
  ASSERT_TRUE(link->subscribe({&topic, 1}));
  publish("a", "early");
  ASSERT_TRUE(link->ping());
  EXPECT_EQ(subscriber->next(), (Words{"SUBSCRIBE", "tern.a"}));
  subscriber->send("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  pump([&] { return events.alive > 0; });
  EXPECT_TRUE(commands->is_quiet());
  subscriber->send(confirm("tern.a"));
  pump([&] { return events.alive > 1; });
  EXPECT_EQ(commands->next(), (Words{"PUBLISH", "tern.a", "early"}));
  EXPECT_EQ(commands->next(), (Words{"PING"}));
}

TEST_F(RedisLink, AProbeComesBack) {
  ASSERT_TRUE(connect());
  ASSERT_TRUE(link->probe());
  const Words command = commands->next();
  EXPECT_EQ(command[1], channels[1][1]);
  push(command[1], command[2]);
  expect_events({"probe"});
}

TEST_F(RedisLink, ADurablePublicationIsAScript) {
  ASSERT_TRUE(connect({.history = History{.count = 5, .age = 6ms, .position_age = 7ms}}));
  publish("a", "x", {1, 2});
  const Words command = commands->next();
  ASSERT_EQ(command.size(), 12u);
  EXPECT_EQ(Words(command.begin(), command.begin() + 6),
            (Words{"EVALSHA", "pub", "2", "tern.history:a", "tern.position:a", "tern.a"}));
  EXPECT_EQ(Words(command.begin() + 8, command.end()), (Words{"0123456789abcdef", "5", "6", "7"}));
  notify(1, command[6]);
  expect_events({"a@7:1 from 2 x"});
}

// A subscriber that joined while the question was on its way would miss a publication that the
// answer counts and whose notification comes later.
TEST_F(RedisLink, AnAnswerWaitsForTheNotificationsThatItCounts) {
  ASSERT_TRUE(connect({.history = History{}}));
  subscribe("a");
  pump([&] { return events.alive > 0; });
  ASSERT_TRUE(link->history("a", {}, 10));
  ASSERT_TRUE(link->flush());
  EXPECT_EQ(commands->next()[1], "read");
  notify(1, "1");
  answer_question(history(2, {"1", "2"}));
  pong("");  // of a ping of the driver
  notify(2, "2");
  notify(3, "3");
  push("tern.b",
       "\xFE\2"
       "9:1\nother topic");
  expect_events({"b@9:1 other topic"});
  pong("history");
  expect_events({"a@7:1 1", "a@7:2 2", "history a 2 1 2", "a@7:3 3"});
  pong("history");  // of nothing
  notify(4, "4");
  expect_events({"a@7:4 4"});
}

TEST_F(RedisLink, NotificationsAfterAQuestionFollowItsAnswer) {
  ASSERT_TRUE(connect({.history = History{}}));
  subscribe("a");
  notify(1, "1");
  expect_events({"a@7:1 1"});
  ASSERT_TRUE(link->history("a", {7, 1}, 100));
  ASSERT_TRUE(link->flush());
  const Words question = commands->next();
  ASSERT_EQ(question.size(), 12u);
  EXPECT_EQ(question[1], "read");
  EXPECT_EQ(Words(question.begin() + 8, question.end()), (Words{"7", "1", "100", "8388608"}));
  const int alive = events.alive;
  notify(3, "3");
  notify(4, "4");
  push("tern.b",
       "\xFE\2"
       "9:1\nother topic");
  expect_events({"b@9:1 other topic"});
  EXPECT_GT(events.alive, alive);
  answer_question_at_once(history(3, {"2", "3"}));
  expect_events({"a@7:3 3", "history a 3 2 3", "a@7:4 4"});
  notify(5, "5");
  expect_events({"a@7:5 5"});
}

TEST_F(RedisLink, WithSeveralQuestionsTheyFollowTheLastAnswer) {
  ASSERT_TRUE(connect({.history = History{}}));
  ASSERT_TRUE(link->history("a", {}, 1));
  ASSERT_TRUE(link->history("a", {7, 1}, 1));
  ASSERT_TRUE(link->flush());
  notify(2, "2");
  answer_question_at_once(history(1, {"1"}));
  expect_events({"history a 1 1"});
  answer_question_at_once("-ERR no\r\n");
  expect_events({"history a unknown", "a@7:2 2"});
  ASSERT_EQ(events.logged.size(), 1u);
  EXPECT_NE(events.logged[0].find("ERR no"), std::string::npos);
}

TEST_F(RedisLink, TooManyNotificationsThatWaitAreAGap) {
  ASSERT_TRUE(connect({.history = History{}}));
  ASSERT_TRUE(link->history("a", {7, 1}, 1));
  ASSERT_TRUE(link->flush());
  const std::string body(1 << 20, 'x');
  std::thread sender([&] {
    for (std::uint64_t offset = 2; offset < 12; ++offset) notify(offset, body);
    push("tern.b",
         "\xFE\2"
         "9:1\nlast");
  });
  pump([&] { return !events.lines.empty(); });
  sender.join();
  answer_question_at_once(history(1, {}));
  pump([&] { return events.lines.size() >= 10; });
  EXPECT_EQ(events.lines[1], "history a 1");
  EXPECT_EQ(events.lines[2].substr(0, 6), "a@7:2 ");
  EXPECT_EQ(events.lines[8].substr(0, 6), "a@7:8 ");
  EXPECT_EQ(events.lines.back(), "gap");
  events.lines.clear();
  notify(12, "12");  // nothing waits any more
  expect_events({"a@7:12 12"});
}

TEST_F(RedisLink, ADurableBridgeDropsWhatHasNoPosition) {
  ASSERT_TRUE(connect({.history = History{}}));
  push("tern.a", "of redis-cli");
  push("tern.a", "once more");
  notify(1, "1");
  expect_events({"a@7:1 1"});
  EXPECT_EQ(events.logged.size(), 1u);
}

TEST_F(RedisLink, SomeErrorsEndTheConnection) {
  for (const char* error : {"READONLY x", "LOADING x", "MASTERDOWN x", "NOAUTH x"}) {
    ASSERT_TRUE(connect({.history = History{}}));
    publish("a", "x");
    commands->send("-" + std::string(error) + "\r\n");
    EXPECT_EQ(pump_until_it_fails(), error);
    link->close();
  }
}

TEST_F(RedisLink, RefusedPublicationsAreTold) {
  ASSERT_TRUE(connect());
  const Words errors = {"OOM command not allowed", "NOPERM no", "ERR x", "OOM again"};
  for (const std::string& error : errors) {
    publish("a", "x");
    commands->send('-' + error + "\r\n");
  }
  pump([&] { return events.refused.size() == errors.size(); });
  EXPECT_EQ(events.refused, errors);
  EXPECT_TRUE(events.logged.empty());
}

TEST_F(RedisLink, OtherRefusedCommandsAreLoggedOnce) {
  ASSERT_TRUE(connect());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(link->probe());
    commands->send("-NOPERM no\r\n");
  }
  publish("a", "x");
  commands->send("-OOM x\r\n");
  pump([&] { return !events.refused.empty(); });
  EXPECT_EQ(events.logged, Words{"redis: the server refuses a command: NOPERM no"});
}

TEST_F(RedisLink, PublicationsWithoutAnAnswerAreLogged) {
  ASSERT_TRUE(connect());
  for (int i = 0; i < 3; ++i) publish("a", "x");
  commands->send(":1\r\n");
  commands.reset();
  pump_until_it_fails();
  link->close();
  ASSERT_EQ(events.logged.size(), 1u);
  EXPECT_NE(events.logged[0].find("before 2 publications"), std::string::npos);
}

// A socket that is closed before the answers came would reset the connection, and the server could
// drop the bytes that it has not read.
TEST_F(RedisLink, CloseWaitsForAnswers) {
  ASSERT_TRUE(connect());
  publish("a", "x");
  std::thread server([&] {
    EXPECT_EQ(commands->next(), (Words{"PUBLISH", "tern.a", "x"}));
    commands->send(":1\r\n");
  });
  link->close();
  server.join();
  EXPECT_TRUE(events.logged.empty());
  EXPECT_TRUE(commands->next().empty());
}

TEST_F(RedisLink, TheEndOfAConnectionIsAnError) {
  for (const bool first : {true, false}) {
    ASSERT_TRUE(connect());
    (first ? commands : subscriber).reset();
    EXPECT_NE(pump_until_it_fails(), "");
    link->close();
  }
}

TEST_F(RedisLink, ARefusedSubscriptionIsAnError) {
  ASSERT_TRUE(connect());
  const std::string_view topic = "a";
  ASSERT_TRUE(link->subscribe({&topic, 1}));
  subscriber->send("-NOPERM no\r\n");
  EXPECT_NE(pump_until_it_fails().find("refuses a subscription: NOPERM no"), std::string::npos);
}

TEST_F(RedisLink, AnAnswerWithoutACommandIsAnError) {
  ASSERT_TRUE(connect());
  commands->send("+OK\r\n");
  EXPECT_NE(pump_until_it_fails().find("without a command"), std::string::npos);
}

}  // namespace
