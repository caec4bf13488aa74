// The Client on a loop: stop, reconnect, what is sent while nothing is open, and destruction in
// every place.
#include "tern/client.h"
#include "tern/server.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

// ---- stop, reconnect, settle

TEST(ClientLoopEnd, StopEndsAnAttemptAndAWait) {
  const Listener silent;
  Recorded connecting;
  Client& first = connecting.client(silent.url());
  connecting.connect();
  connecting.loop.after({}, [&] {
    EXPECT_EQ(first.state(), ClientState::connecting);
    EXPECT_TRUE(first.stop());
    EXPECT_EQ(first.state(), ClientState::stopped);
    EXPECT_TRUE(connecting.ends.empty()) << "stop() called the application";
  });
  run(connecting.loop);
  ASSERT_EQ(connecting.ends.size(), 1u);
  EXPECT_EQ(connecting.ends[0].code, Errc::stopped);
  EXPECT_FALSE(first.error());

  const RefusedPort refused;
  Recorded waiting(2);
  Client& second = waiting.client(refused.url());
  waiting.connect();
  waiting.on_end = [&](const Ended& ended) {
    if (ended.wait) second.stop();
  };
  run(waiting.loop);
  ASSERT_EQ(waiting.ends.size(), 2u);
  EXPECT_EQ(waiting.ends[1].code, Errc::stopped);
}

TEST(ClientLoopEnd, StopFromAnotherThreadSendsTheClose) {
  RunningServer served;
  Inbox<CloseInfo> closed;
  served.server.route("/",
                      {.on_message = [](Connection&, Message) {},
                       .on_close = [&](Connection&, const CloseInfo& info) { closed.put(info); }});
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()));
  std::jthread stopper;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    stopper = std::jthread(
                                        [&] { EXPECT_TRUE(client.stop(CloseCode(4000), "bye")); });
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  const auto info = closed.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode(4000));
  EXPECT_EQ(info->reason, "bye");
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].last);
}

TEST(ClientLoopEnd, ReconnectCutsTheWaitShort) {
  const RefusedPort refused;
  Recorded recorded(2);
  Client& client = recorded.client(
      refused.url(), {.retry = {.first = std::chrono::hours(24), .most = std::chrono::hours(24)}});
  recorded.connect();
  recorded.on_end = [&](const Ended&) { client.reconnect(); };
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_EQ(recorded.ends[1].failures, 2u) << "it forgets no failure";
}

TEST(ClientLoopEnd, ReconnectReplacesTheOpenConnection) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded(9);
  Client& client = recorded.client(url_of(served.start()));
  std::vector<std::string> events;
  ASSERT_TRUE(client.connect(
      {.on_open =
           [&](Connection&) {
             events.push_back("open");
             events.size() == 1 ? client.reconnect() : void(client.stop());
           },
       .on_message = [](Connection&, Message) {},
       .on_close = [&](Connection&, const CloseInfo&) { events.push_back("close"); }}));
  run(recorded.loop);
  EXPECT_EQ(events, (std::vector<std::string>{"open", "close", "open", "close"}));
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_FALSE(recorded.ends[0].last);
  EXPECT_EQ(recorded.ends[0].failures, 0u);
}

TEST(ClientLoopEnd, ReconnectBeginsAgainAfterAStop) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  Loop loop;
  int opened = 0;
  int ended = 0;
  ClientOptions options;
  std::optional<Client> client;
  options.on_ended = [&](const Ended&) { ++ended == 1 ? client->reconnect() : loop.stop(); };
  client.emplace(loop, url, std::move(options));
  ASSERT_TRUE(client->connect({.on_open =
                                   [&](Connection&) {
                                     ++opened;
                                     client->stop();
                                   },
                               .on_message = [](Connection&, Message) {}}));
  run(loop);
  EXPECT_EQ(opened, 2);
}

TEST(ClientLoopEnd, SettleForgetsTheFailures) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded(3);
  Client& client = recorded.client(url_of(served.start()), {.retry = quick()});
  int opened = 0;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    if (++opened == 3) client.settle();
                                    conn.terminate();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 3u);
  EXPECT_EQ(recorded.ends[0].failures, 1u);
  EXPECT_EQ(recorded.ends[1].failures, 2u) << "an early end counts as a failure";
  EXPECT_EQ(recorded.ends[2].failures, 1u);
}

TEST(ClientLoopEnd, AStopInsideOfAgainIsReportedOnce) {
  const RefusedPort refused;
  Recorded failed(9);
  ClientOptions options{.retry = quick()};
  options.retry.again = [&](const Ended&) {
    failed.client().stop();
    failed.client().reconnect();
    return true;
  };
  failed.client(refused.url(), std::move(options));
  failed.connect();
  failed.loop.after(std::chrono::milliseconds(200), [&] { failed.loop.stop(); });
  failed.on_end = [&](const Ended& ended) { EXPECT_FALSE(ended.wait); };
  run(failed.loop);
  ASSERT_EQ(failed.ends.size(), 1u);
  EXPECT_EQ(failed.client().state(), ClientState::stopped);

  RunningServer served;
  served.server.route("/", echo());
  Recorded ended(9);
  ClientOptions other{.retry = quick()};
  other.retry.again = [&](const Ended&) {
    EXPECT_EQ(ended.client().send("nothing is open"), SendStatus::closed);
    ended.client().settle();
    ended.client().stop();
    return true;
  };
  Client& client = ended.client(url_of(served.start()), std::move(other));
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.terminate(); },
                              .on_message = [](Connection&, Message) {}}));
  run(ended.loop);
  ASSERT_EQ(ended.ends.size(), 1u);
  EXPECT_TRUE(ended.ends[0].last);
}

// ---- sending

TEST(ClientLoopEnd, SendReachesTheOpenConnectionFromAnyThread) {
  RunningServer served;
  Inbox<std::string> received;
  served.server.route("/", {.on_message = [&](Connection&, Message message) {
                        received.put(std::string(message.text()));
                      }});
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()));
  EXPECT_EQ(client.send("too early"), SendStatus::closed);
  EXPECT_FALSE(client.handle().send("too early"));
  std::jthread sender;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    EXPECT_TRUE(client.send("a"));
                                    sender = std::jthread([&] {
                                      EXPECT_EQ(client.send("b"), SendStatus::queued);
                                      EXPECT_EQ(client.send("\xff"), SendStatus::not_utf8);
                                      EXPECT_TRUE(client.handle().send("c"));
                                      client.stop();
                                    });
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  for (const char* text : {"a", "b", "c"}) EXPECT_EQ(received.take(), text);
  EXPECT_EQ(client.send("too late"), SendStatus::closed);
}

TEST(ClientLoopEnd, TheOutboxIsSentAfterOnOpen) {
  RunningServer served;
  Inbox<std::string> received;
  served.server.route("/", {.on_message = [&](Connection&, Message message) {
                        received.put(std::string(message.text()));
                      }});
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()), {.outbox = Outbox{.max_messages = 2}});
  EXPECT_EQ(client.send("\xff"), SendStatus::not_utf8);
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    conn.send("login");
                                    recorded.loop.after({}, [&] { client.stop(); });
                                  },
                              .on_message = [](Connection&, Message) {}}));
  recorded.loop.after({}, [&] {
    EXPECT_EQ(client.send("1"), SendStatus::queued);
    EXPECT_EQ(client.send("2"), SendStatus::queued);
    EXPECT_EQ(client.send("3"), SendStatus::full);
  });
  run(recorded.loop);
  for (const char* text : {"login", "1", "2"}) EXPECT_EQ(received.take(), text);
  EXPECT_EQ(client.dropped(), 0u);
}

// ---- lifetimes

TEST(ClientLoopEnd, TheOutboxKeepsWhatAClosingConnectionRefuses) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded(99);
  Client& client = recorded.client(url_of(served.start()), {.retry = quick(), .outbox = Outbox{}});
  int opened = 0;
  std::vector<std::string> heard;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    if (++opened == 2) return;
                                    conn.close();
                                    EXPECT_EQ(client.state(), ClientState::open);
                                    EXPECT_EQ(client.send("1"), SendStatus::queued);
                                  },
                              .on_message =
                                  [&](Connection&, Message message) {
                                    heard.emplace_back(message.text());
                                    if (heard.size() == 2) client.stop();
                                  },
                              .on_close =
                                  [&](Connection&, const CloseInfo&) {
                                    if (opened == 1) {
                                      EXPECT_EQ(client.send("2"), SendStatus::queued);
                                    }
                                  }}));
  run(recorded.loop);
  EXPECT_EQ(heard, (std::vector<std::string>{"1", "2"}));
}

TEST(ClientLoopEnd, DestructionGivesTheSessionItsEnd) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()));
  bool closed = false;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    recorded.loop.after({}, [&] {
                                      recorded.destroy();
                                      EXPECT_TRUE(closed);
                                      recorded.loop.stop();
                                    });
                                  },
                              .on_message = [](Connection&, Message) {},
                              .on_close = [&](Connection&, const CloseInfo&) { closed = true; }}));
  run(recorded.loop);
  EXPECT_TRUE(recorded.ends.empty()) << "the destructor reports no end";
}

TEST(ClientLoopEnd, MayBeDestroyedInsideOfItsSession) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const char* where : {"open", "message", "close", "ended", "timer", "post"}) {
    SCOPED_TRACE(where);
    Loop loop;
    std::optional<Client> client;
    const std::string place = where;
    bool closed = false;
    const auto destroy_at = [&](const char* here) {
      if (place == here) client.reset();
    };
    ClientOptions options{.retry = quick()};
    options.on_ended = [&](const Ended&) {
      destroy_at("ended");
      loop.stop();
    };
    client.emplace(loop, url, std::move(options));
    ASSERT_TRUE(client->connect({.on_open =
                                     [&](Connection& conn) {
                                       conn.send("x");
                                       if (place == "timer")
                                         conn.after({}, [&](Connection&) { destroy_at("timer"); });
                                       if (place == "post")
                                         conn.handle().post(
                                             [&](Connection&) { destroy_at("post"); });
                                       destroy_at("open");
                                     },
                                 .on_message =
                                     [&](Connection& conn, Message) {
                                       if (place != "timer" && place != "post") conn.close();
                                       destroy_at("message");
                                     },
                                 .on_close =
                                     [&](Connection&, const CloseInfo&) {
                                       closed = true;
                                       destroy_at("close");
                                       if (!client) loop.stop();
                                     }}));
    run(loop);
    EXPECT_TRUE(closed);
    EXPECT_FALSE(client);
  }
}

TEST(ClientLoopEnd, ALoopThatEndsFirstStopsTheClient) {
  RunningServer served;
  served.server.route("/", echo());
  auto loop = std::make_unique<Loop>();
  std::vector<std::string> events;
  ClientOptions options;
  options.on_ended = [&](const Ended& ended) { events.push_back(ended.wait ? "waits" : "over"); };
  Client client(*loop, url_of(served.start()), std::move(options));
  ASSERT_TRUE(client.connect(
      {.on_open = [&](Connection&) { loop->stop(); },
       .on_message = [](Connection&, Message) {},
       .on_close = [&](Connection&, const CloseInfo&) { events.push_back("close"); }}));
  run(*loop);
  const Handle handle = client.handle();
  loop.reset();
  EXPECT_EQ(events, (std::vector<std::string>{"close", "over"}));
  EXPECT_EQ(client.state(), ClientState::stopped);
  EXPECT_EQ(client.send("x"), SendStatus::closed);
  EXPECT_FALSE(client.stop());
  EXPECT_FALSE(handle.send("x"));
  client.reconnect();
  client.settle();
  EXPECT_FALSE(client.next_attempt());
}

// The connection was open, so the end is that of a connection, also if stop() came right before.
TEST(ClientLoopEnd, ALoopThatEndsReportsTheEndOfTheOpenConnection) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const bool stopped : {false, true}) {
    auto loop = std::make_unique<Loop>();
    std::optional<Client> client;
    std::vector<std::string> events;
    ClientOptions options;
    options.on_ended = [&](const Ended& ended) {
      ASSERT_NE(ended.close, nullptr);
      EXPECT_EQ(ended.failure, nullptr);
      EXPECT_EQ(ended.stage, Stage::open);
      EXPECT_FALSE(ended.wait);
      events.push_back(std::to_string(static_cast<int>(ended.close->code)));
    };
    client.emplace(*loop, url, std::move(options));
    ASSERT_TRUE(client->connect({.on_open =
                                     [&](Connection&) {
                                       loop->stop();
                                       if (stopped) client->stop();
                                     },
                                 .on_message = [](Connection&, Message) {}}));
    run(*loop);
    loop.reset();
    EXPECT_EQ(events, std::vector<std::string>{"1006"});
  }
}

// Each end has a line in the log, also one that stop() or reconnect() caused.
TEST(ClientLoopEnd, TheLogHasALineForEachEnd) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  Recorded recorded(2);
  std::vector<std::string> lines;
  std::vector<LogLevel> levels;
  ClientOptions options;
  options.log = [&](const LogRecord& record) {
    lines.emplace_back(record.message);
    levels.push_back(record.level);
  };
  options.before_attempt = [&, first = true](Attempt attempt) mutable {
    if (std::exchange(first, false)) return attempt.go();
    recorded.client().stop();
  };
  Client& client = recorded.client(url, std::move(options));
  ASSERT_TRUE(client.connect({.on_open = [&](Connection&) { client.reconnect(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("ended with 1006"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("a stop was requested; no further attempt"), std::string::npos)
      << lines[1];
  EXPECT_EQ(levels[1], LogLevel::info);
}

// The leak checker sees a client that waits for a turn which never comes.
TEST(ClientLoopEnd, ReconnectHasNoEffectWhileTheLoopEnds) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  auto loop = std::make_unique<Loop>();
  std::optional<Client> client;
  int ended = 0;
  ClientOptions options;
  options.on_ended = [&](const Ended&) {
    ++ended;
    client->reconnect();
  };
  client.emplace(*loop, url, std::move(options));
  ASSERT_TRUE(client->connect(
      {.on_open = [&](Connection&) { loop->stop(); }, .on_message = [](Connection&, Message) {}}));
  run(*loop);
  loop.reset();
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(client->state(), ClientState::stopped);
}

// The session's on_close runs while the client is cancelled, by its destructor or by its loop.
TEST(ClientLoopEnd, OnCloseMayCallAClientThatIsCancelled) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const bool by_its_loop : {true, false}) {
    SCOPED_TRACE(by_its_loop ? "by its loop" : "by its destructor");
    auto loop = std::make_unique<Loop>();
    std::vector<std::string> events;
    ClientOptions options{.outbox = Outbox{}};
    options.on_ended = [&](const Ended& ended) { events.push_back(ended.wait ? "waits" : "over"); };
    auto client = std::make_unique<Client>(*loop, url, std::move(options));
    Client& called = *client;
    ASSERT_TRUE(client->connect({.on_open = [&](Connection&) { loop->stop(); },
                                 .on_message = [](Connection&, Message) {},
                                 .on_close =
                                     [&](Connection&, const CloseInfo&) {
                                       events.push_back("close");
                                       EXPECT_EQ(called.send("x"), SendStatus::closed);
                                       called.reconnect();
                                       called.settle();
                                       called.stop();
                                       EXPECT_EQ(called.state(), ClientState::stopped);
                                     }}));
    run(*loop);
    by_its_loop ? loop.reset() : client.reset();
    client.reset();
    loop.reset();
    EXPECT_EQ(events, by_its_loop ? (std::vector<std::string>{"close", "over"})
                                  : std::vector<std::string>{"close"});
  }
}

TEST(ClientLoopEnd, OnEndedMayCallAClientWhoseLoopEnds) {
  const Listener silent;
  auto loop = std::make_unique<Loop>();
  int ends = 0;
  std::optional<Client> client;
  ClientOptions options;
  options.on_ended = [&](const Ended& ended) {
    EXPECT_FALSE(ended.wait);
    ++ends;
    client->reconnect();
    EXPECT_FALSE(client->connect({.on_message = [](Connection&, Message) {}}));
  };
  client.emplace(*loop, url_of(silent.port()), std::move(options));
  ASSERT_TRUE(client->connect({.on_message = [](Connection&, Message) {}}));
  loop->after(std::chrono::milliseconds(0), [&] { loop->stop(); });
  run(*loop);
  loop.reset();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(client->state(), ClientState::stopped);
}

TEST(ClientLoopEnd, MayBeDestroyedWhenItsLoopEnds) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const bool in_the_session : {true, false}) {
    auto loop = std::make_unique<Loop>();
    std::optional<Client> client;
    ClientOptions options;
    options.on_ended = [&](const Ended&) { client.reset(); };
    client.emplace(*loop, url, std::move(options));
    ASSERT_TRUE(client->connect({.on_open = [&](Connection&) { loop->stop(); },
                                 .on_message = [](Connection&, Message) {},
                                 .on_close =
                                     [&](Connection&, const CloseInfo&) {
                                       if (in_the_session) client.reset();
                                     }}));
    run(*loop);
    loop.reset();
    EXPECT_FALSE(client);
  }
}

TEST(ClientLoopEnd, ASessionOfAServerMayOpenAClient) {
  RunningServer back;
  back.server.route("/", echo());
  const std::string url = url_of(back.start());
  RunningServer front;
  // Each connection of the front passes its messages to a client of its own on the same loop.
  struct Relay {
    explicit Relay(std::string to) : to_(std::move(to)) {}
    void on_open(Connection& conn) {
      client_.emplace(conn.loop(), to_, ClientOptions{.outbox = Outbox{}});
      EXPECT_TRUE(
          client_->connect({.on_message = [front = conn.handle()](Connection&, Message message) {
            front.send(message);
          }}));
    }
    void on_message(Connection&, Message message) { EXPECT_TRUE(client_->send(message)); }
    std::string to_;
    std::optional<Client> client_{};
  };
  front.server.route<Relay>("/", url);
  auto dialled = dial(url_of(front.start()));
  ASSERT_TRUE(dialled);
  ASSERT_TRUE(dialled->send("through both"));
  std::string received;
  ASSERT_TRUE(dialled->receive(received));
  EXPECT_EQ(received, "through both");
  front.stop(std::chrono::milliseconds(100));
}

TEST(ClientLoopEnd, ClientsMayShareTheirOptions) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  Loop loop;
  constexpr int count = 50;
  int ended = 0;
  auto options = std::make_shared<ClientOptions>();
  options->retry = Retry::never();
  options->on_ended = [&](const Ended& end) {
    EXPECT_NE(end.close, nullptr);
    if (++ended == count) loop.stop();
  };
  std::vector<Client> clients;
  for (int i = 0; i < count; ++i) {
    clients.emplace_back(loop, url, options);
    ASSERT_TRUE(
        clients.back().connect({.on_open = [](Connection& conn) { conn.send("x"); },
                                .on_message = [](Connection& conn, Message) { conn.close(); }}));
  }
  run(loop);
  EXPECT_EQ(ended, count);
}

// ---- liveness

TEST(ClientLoopEnd, AServerThatClosesAtOnceIsTriedEvery100MsAtMost) {
  Listener closes;
  std::atomic<bool> over{false};
  std::jthread acceptor([&] {
    while (!over) {
      Socket socket = closes.accept();
      if (socket.fd() < 0) return;
    }
  });
  Recorded recorded(5);
  recorded.client(closes.url(), {.retry = quick()});
  recorded.connect();
  const auto began = Loop::Clock::now();
  run(recorded.loop);
  EXPECT_GE(Loop::Clock::now() - began, std::chrono::milliseconds(400)) << "5 attempts, 4 waits";
  over = true;
  ::shutdown(closes.fd(), SHUT_RDWR);
}

}  // namespace
}  // namespace tern::test
