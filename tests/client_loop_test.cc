// The Client on a loop: attempts, sessions, and the answer to before_attempt. The peer is a Server
// of tern, or a script on a plain socket where a fault is needed.
#include "tern/client.h"
#include "tern/server.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

TEST(ClientLoop, SendsAndReceives) {
  RunningServer served;
  served.server.route("/", echo());
  Loop loop;
  std::vector<std::string> events;
  ClientOptions options{.retry = Retry::never()};
  options.on_ended = [&](const Ended& ended) {
    ASSERT_NE(ended.close, nullptr);
    EXPECT_EQ(ended.stage, Stage::open);
    EXPECT_FALSE(ended.wait);
    events.push_back("ended");
    loop.stop();
  };
  Client client(loop, url_of(served.start()), std::move(options));
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    EXPECT_EQ(client.state(), ClientState::open);
                                    events.push_back("open");
                                    conn.send("hello");
                                  },
                              .on_message =
                                  [&](Connection&, Message message) {
                                    events.emplace_back(message.text());
                                    client.stop();
                                  },
                              .on_close =
                                  [&](Connection&, const CloseInfo& info) {
                                    EXPECT_TRUE(info.clean);
                                    events.push_back("close");
                                  }}));
  run(loop);
  EXPECT_EQ(events, (std::vector<std::string>{"open", "hello", "close", "ended"}));
  EXPECT_EQ(client.state(), ClientState::stopped);
  EXPECT_FALSE(client.error());
}

// ---- errors of connect()

TEST(ClientLoop, WrongOptionsAreErrorsOfConnect) {
  Loop loop;
  const auto code = [&](const std::string& url, ClientOptions options) {
    Client client(loop, url, std::move(options));
    const auto connected = client.connect({.on_message = [](Connection&, Message) {}});
    EXPECT_EQ(client.state(), ClientState::idle);
    return connected ? std::error_code() : connected.error().code();
  };
  EXPECT_EQ(code("http://a/", {}), Errc::url_invalid);
  EXPECT_EQ(code("ws://a/", {.dial = {.headers = {{"a b", ""}}}}), Errc::invalid_header);
  EXPECT_EQ(code("ws://a/", {.dial = {.max_redirects = -1}}), Errc::options_invalid);
  EXPECT_EQ(code("ws+unix:///a", {.dial = {.connect_to = "b:1"}}), Errc::options_invalid);
  EXPECT_EQ(code("ws://a/", {.retry = {.most = std::chrono::seconds(-1)}}), Errc::options_invalid);
  EXPECT_EQ(code("ws://a/", {.outbox = Outbox{.max_bytes = std::size_t{2} << 20}}),
            Errc::options_invalid);
  EXPECT_EQ(code("ws://a/", {.outbox = Outbox{.max_bytes = 0}}), Errc::options_invalid);
  EXPECT_EQ(code("ws://a/", {.outbox = Outbox{.max_messages = 0}}), Errc::options_invalid);
  EXPECT_EQ(code("wss://a/", {.dial = {.tls = {.ca_file = "/nonexistent"}}}),
            std::errc::no_such_file_or_directory);
  Client client(loop, "ws://a/");
  EXPECT_EQ(client.connect(Handlers{}).error().code(), Errc::options_invalid);
  ASSERT_TRUE(client.connect({.on_message = [](Connection&, Message) {}}));
  EXPECT_EQ(client.connect({.on_message = [](Connection&, Message) {}}).error().code(),
            Errc::already_running);
}

// ---- sessions

struct Greeter {
  Greeter(const ResponseHead& response, std::vector<std::string>& log)
      : log_(log), protocol_(response.header("Sec-WebSocket-Protocol")) {
    log_.push_back("made " + std::to_string(response.status) + " " + protocol_);
  }
  ~Greeter() { log_.push_back("destroyed"); }
  void on_open(Connection& conn) {
    log_.push_back("open " + std::string(conn.protocol()));
    conn.send("x");
  }
  void on_message(Connection& conn, Message) { conn.close(); }
  void on_close(Connection&, const CloseInfo&) { log_.push_back("close"); }

  std::vector<std::string>& log_;
  std::string protocol_;
};

TEST(ClientLoop, EachOpenedConnectionHasASessionOfItsOwn) {
  RunningServer served;
  served.server.route("/", echo(), {.protocols = {"chat"}});
  Recorded recorded(2);
  std::vector<std::string> log;
  recorded.client(url_of(served.start()), {.dial = {.protocols = {"chat"}}, .retry = quick()});
  ASSERT_TRUE(recorded.client().connect<Greeter>(std::ref(log)));
  run(recorded.loop);
  recorded.destroy();
  const std::vector<std::string> once{"made 101 chat", "open chat", "close", "destroyed"};
  std::vector<std::string> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(log, twice);
}

struct Throws {
  explicit Throws(int) { throw std::runtime_error("no session"); }
  void on_message(Connection&, Message) {}
};

TEST(ClientLoop, ASessionThatThrowsIsAFailedAttempt) {
  RunningServer served;
  served.server.route("/", echo());
  std::vector<std::string> lines;
  Recorded recorded(2);
  recorded.client(url_of(served.start()), {.retry = quick(), .log = [&](const LogRecord& record) {
                                             lines.emplace_back(record.message);
                                           }});
  ASSERT_TRUE(recorded.client().connect<Throws>(1));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_FALSE(recorded.ends[1].was_open);
  EXPECT_EQ(recorded.ends[1].code, Errc::handler_threw);
  EXPECT_EQ(recorded.ends[1].failures, 2u);
  EXPECT_NE(lines[0].find("no session"), std::string::npos) << lines[0];
}

// ---- failures and their stages

TEST(ClientLoop, AFailureNamesItsStage) {
  const RefusedPort refused;
  Recorded connect;
  connect.client(refused.url(), {.retry = {.attempts = 1}});
  connect.connect();
  run(connect.loop);
  ASSERT_EQ(connect.ends.size(), 1u);
  EXPECT_EQ(connect.ends[0].code, std::errc::connection_refused);
  EXPECT_EQ(connect.ends[0].stage, Stage::connect);
  EXPECT_TRUE(connect.ends[0].transient);
  EXPECT_TRUE(connect.ends[0].last);
  EXPECT_EQ(connect.client().error()->code(), std::errc::connection_refused);

  Recorded resolve;
  resolve.client("ws://nothing.invalid/", {.retry = {.attempts = 1}});
  resolve.connect();
  run(resolve.loop);
  ASSERT_EQ(resolve.ends.size(), 1u);
  EXPECT_EQ(resolve.ends[0].code, Errc::name_not_resolved);
  EXPECT_EQ(resolve.ends[0].stage, Stage::resolve);
}

TEST(ClientLoop, AFatalAnswerStopsTheClient) {
  ScriptedPeer peer([](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    socket.receive_end();
  });
  Recorded recorded(2);
  recorded.client(peer.url(), {.retry = quick()});
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::upgrade_refused);
  EXPECT_EQ(recorded.ends[0].stage, Stage::upgrade);
  EXPECT_FALSE(recorded.ends[0].transient);
  EXPECT_EQ(recorded.client().state(), ClientState::stopped);
  EXPECT_EQ(recorded.client().error()->http_status(), 403);
}

TEST(ClientLoop, AgainOverridesTheVerdictInBothDirections) {
  const RefusedPort refused;
  Recorded stops(2);
  ClientOptions options{.retry = quick()};
  options.retry.again = [](const Ended& ended) {
    EXPECT_TRUE(ended.transient);
    EXPECT_FALSE(ended.wait);
    return false;
  };
  stops.client(refused.url(), std::move(options));
  stops.connect();
  run(stops.loop);
  EXPECT_EQ(stops.ends.size(), 1u);
  EXPECT_TRUE(stops.ends[0].last);

  ScriptedPeer peer([](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  });
  Recorded goes_on(1);
  ClientOptions forgiving{.retry = quick()};
  forgiving.retry.again = [](const Ended&) { return true; };
  goes_on.client(peer.url(), std::move(forgiving));
  goes_on.connect();
  run(goes_on.loop);
  EXPECT_FALSE(goes_on.ends[0].transient);
  EXPECT_FALSE(goes_on.ends[0].last);
  EXPECT_EQ(goes_on.client().state(), ClientState::waiting);
  EXPECT_TRUE(goes_on.client().next_attempt());
}

// The server closes with 4001, then with 4002, which the application takes for the last word.
TEST(ClientLoop, AgainDecidesByTheCloseCode) {
  int opened = 0;
  RunningServer served;
  served.server.route(
      "/", {.on_open =
                [&](Connection& conn) { conn.close(tern::CloseCode(4001 + opened++), "because"); },
            .on_message = [](Connection&, Message) {}});
  Recorded recorded(9);
  ClientOptions options{.retry = quick()};
  options.retry.again = [](const Ended& ended) {
    return ended.close->code != tern::CloseCode(4002) || ended.close->reason != "because";
  };
  recorded.client(url_of(served.start()), std::move(options));
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_FALSE(recorded.ends[0].last);
  EXPECT_TRUE(recorded.ends[1].last);
  EXPECT_TRUE(recorded.ends[1].transient) << "tern itself would try again";
}

TEST(ClientLoop, RetryAfterIsALowerBound) {
  ScriptedPeer peer([](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 503 Busy\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  });
  Recorded recorded(1);
  recorded.on_end = [](const Ended& ended) {
    EXPECT_EQ(ended.retry_after, std::chrono::seconds(77));
    ASSERT_TRUE(ended.wait);
    EXPECT_GE(*ended.wait, std::chrono::seconds(77));
  };
  recorded.client(peer.url(), {.retry = quick()});
  recorded.connect();
  run(recorded.loop);
  EXPECT_EQ(recorded.ends.size(), 1u);
}

TEST(ClientLoop, AttemptsAreBounded) {
  const RefusedPort refused;
  Recorded recorded(9);
  recorded.client(refused.url(), {.retry = {.first = {}, .attempts = 3}});
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(recorded.ends[i].failures, i + 1);
  EXPECT_TRUE(recorded.ends[2].last);
  EXPECT_FALSE(recorded.ends[1].last);
}

TEST(ClientLoop, RedirectsAreFollowed) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string target = url_of(served.start());
  ScriptedPeer peer([&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(target));
    socket.receive_end();
  });
  Recorded recorded;
  Client& client =
      recorded.client(peer.url(), {.dial = {.max_redirects = 1}, .retry = Retry::never()});
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open);
}

TEST(ClientLoop, TheDeadlineHoldsInEveryStage) {
  const Listener silent;  // the system connects, and nothing answers
  for (const char* scheme : {"ws://", "wss://"}) {
    Recorded recorded;
    recorded.client(scheme + silent.authority(),
                    {.dial = {.timeout = std::chrono::milliseconds(50)}, .retry = {.attempts = 1}});
    recorded.connect();
    run(recorded.loop);
    ASSERT_EQ(recorded.ends.size(), 1u);
    EXPECT_EQ(recorded.ends[0].code, Errc::handshake_timeout) << recorded.ends[0].text;
  }
  Recorded proxied;
  ClientOptions options{.dial = {.timeout = std::chrono::milliseconds(50)},
                        .retry = {.attempts = 1}};
  options.dial.proxy = *Proxy::parse("http://" + silent.authority());
  proxied.client("ws://nothing.invalid/", std::move(options));
  proxied.connect();
  run(proxied.loop);
  ASSERT_EQ(proxied.ends.size(), 1u);
  EXPECT_EQ(proxied.ends[0].code, Errc::handshake_timeout);
  EXPECT_EQ(proxied.ends[0].stage, Stage::proxy);
}

// ---- before_attempt

TEST(ClientLoop, BeforeAttemptGivesHeadersAndUrl) {
  RunningServer served;
  std::vector<std::string> seen;
  served.server.route("/b", [&](Upgrade upgrade) {
    for (const auto& field : upgrade.request().headers()) {
      if (field.name == "Authorization" || field.name == "X-Kept")
        seen.push_back(std::string(field.value));
    }
    upgrade.accept<Handlers>({}, echo());
  });
  const std::uint16_t port = served.start();
  Recorded recorded;
  ClientOptions options{.dial = {.headers = {{"authorization", "old"}, {"X-Kept", "kept"}}},
                        .retry = Retry::never()};
  options.before_attempt = [&](Attempt attempt) {
    EXPECT_EQ(attempt.failures(), 0u);
    std::jthread([attempt, port] {
      attempt.go(url_of(port, "/b"), {{"Authorization", "fresh"}});
    }).join();
    attempt.give_up("the second answer counts for nothing");
  };
  Client& client = recorded.client(url_of(port, "/a"), std::move(options));
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_TRUE(recorded.ends[0].was_open) << recorded.ends[0].text;
  served.stop();
  EXPECT_EQ(seen, (std::vector<std::string>{"kept", "fresh"}));
}

TEST(ClientLoop, BeforeAttemptMayFail) {
  const RefusedPort refused;
  Recorded recorded(9);
  ClientOptions options{.retry = quick()};
  int calls = 0;
  options.before_attempt = [&](Attempt attempt) {
    ++calls;
    EXPECT_EQ(attempt.failures(), static_cast<std::size_t>(calls - 1));
    if (calls == 1) return attempt.fail("no token");
    if (calls == 2) throw std::runtime_error("broken");
    if (calls == 3) return;  // no answer
    if (calls == 4) return attempt.go("nonsense");
    attempt.give_up("the account is closed");
  };
  options.retry.again = [](const Ended& ended) {
    return ended.failure->code() != Errc::attempt_given_up;
  };
  recorded.client(refused.url(), std::move(options));
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 5u);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(recorded.ends[static_cast<std::size_t>(i)].code, Errc::attempt_failed);
  EXPECT_EQ(recorded.ends[3].code, Errc::url_invalid);
  EXPECT_EQ(recorded.ends[4].code, Errc::attempt_given_up);
  EXPECT_NE(recorded.ends[4].text.find("the account is closed"), std::string::npos);
  EXPECT_EQ(recorded.ends[4].stage, Stage::prepare);
  EXPECT_TRUE(recorded.ends[4].last);
}

TEST(ClientLoop, PongsOfTheKeepaliveGiveTheRoundTrip) {
  RunningServer served;
  served.server.route("/", echo());
  Loop loop;
  std::optional<RoundTrip> time;
  Client client(
      loop, url_of(served.start()),
      {.dial = {.timeouts = {.silence = std::chrono::milliseconds(20)}}, .retry = Retry::never()});
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { EXPECT_FALSE(conn.rtt()); },
                              .on_message = [](Connection&, Message) {},
                              .on_pong =
                                  [&](Connection& conn, std::span<const std::byte>) {
                                    time = conn.rtt();
                                    loop.stop();
                                  }}));
  run(loop);
  ASSERT_TRUE(time);
  EXPECT_GT(time->last, std::chrono::nanoseconds(0));
}

TEST(ClientLoop, OnOpenReadsTheHeadOfTheAnswer) {
  RunningServer served;
  served.server.route("/", echo(), {.headers = {{"X-Served-By", "me"}}});
  Loop loop;
  std::string served_by;
  Client client(loop, url_of(served.start()), {.retry = Retry::never()});
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    ASSERT_NE(conn.response(), nullptr);
                                    served_by = conn.response()->header("X-Served-By");
                                    conn.send("hello");
                                  },
                              .on_message =
                                  [&](Connection& conn, Message) {
                                    EXPECT_EQ(conn.response(), nullptr);
                                    loop.stop();
                                  }}));
  run(loop);
  EXPECT_EQ(served_by, "me");
}

}  // namespace
}  // namespace tern::test
