// The Client on a loop: the URL and the stage that an end names, and what connect() refuses.
#include "tern/client.h"
#include "tern/server.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

using tern::Client;
using tern::ClientOptions;
using tern::ClientState;
using tern::Connection;
using tern::Ended;
using tern::Errc;
using tern::Message;
using tern::Retry;
using tern::Stage;
using tern::test::Listener;
using tern::test::quick;
using tern::test::Recorded;
using tern::test::run;
using tern::test::RunningServer;
using tern::test::ScriptedPeer;
using tern::test::Socket;
using tern::test::url_of;

// The URLs of the ends of a client that closes each connection at once.
std::vector<std::string> urls_of_ends(Recorded& recorded, const std::string& url,
                                      ClientOptions options) {
  std::vector<std::string> urls;
  recorded.on_end = [&](const Ended& ended) { urls.emplace_back(ended.url); };
  Client& client = recorded.client(url, std::move(options));
  EXPECT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  return urls;
}

TEST(ClientLoopAttempt, AnEndNamesTheUrlOfItsAttempt) {
  RunningServer served;
  served.server.route("/b", tern::test::echo());
  served.server.route("/c", tern::test::echo());
  const std::uint16_t port = served.start();
  Recorded recorded(3);
  ClientOptions options{.retry = quick()};
  options.before_attempt = [&](tern::Attempt attempt) {
    const std::size_t number = attempt.failures();
    if (number == 0) return attempt.go(url_of(port, "/b?secret"));
    if (number == 1) return attempt.go(url_of(port, "/c"));
    attempt.fail("no token");
  };
  EXPECT_EQ(urls_of_ends(recorded, url_of(port, "/a?secret"), std::move(options)),
            (std::vector<std::string>{url_of(port, "/b"), url_of(port, "/c"), url_of(port, "/a")}));
}

TEST(ClientLoopAttempt, AnEndNamesTheUrlToWhichARedirectLed) {
  RunningServer served;
  served.server.route("/", tern::test::echo());
  const std::string target = url_of(served.start());
  ScriptedPeer peer([&](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 307 There\r\nLocation: " + target + "\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  });
  Recorded recorded;
  const auto urls =
      urls_of_ends(recorded, peer.url(), {.dial = {.max_redirects = 1}, .retry = Retry::never()});
  EXPECT_EQ(urls, std::vector<std::string>{target});
}

TEST(ClientLoopAttempt, AWrongProxyOfTheEnvironmentEndsInPrepare) {
  ::setenv("ws_proxy", "gopher://nothing", 1);
  Recorded recorded;
  recorded.client("ws://nothing.invalid/", {.dial = {.proxy = tern::Proxy::from_environment()}});
  recorded.connect();
  run(recorded.loop);
  ::unsetenv("ws_proxy");
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::options_invalid);
  EXPECT_EQ(recorded.ends[0].stage, Stage::prepare);
}

TEST(ClientLoopAttempt, AStopNamesTheStageThatItEnded) {
  const Listener silent;
  Recorded recorded;
  Client& client = recorded.client(silent.url());
  recorded.connect();
  recorded.loop.after(std::chrono::milliseconds(50), [&] { client.stop(); });
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::stopped);
  EXPECT_EQ(recorded.ends[0].stage, Stage::upgrade);
}

TEST(ClientLoopAttempt, ConnectAfterAStopBeginsNothing) {
  Recorded recorded;
  Client& client = recorded.client("ws://127.0.0.1:9/");
  recorded.loop.after({}, [&] {
    EXPECT_TRUE(client.stop());
    const auto connected = client.connect({.on_message = [](Connection&, Message) {}});
    ASSERT_FALSE(connected);
    EXPECT_EQ(connected.error().code(), Errc::closed);
    EXPECT_EQ(client.state(), ClientState::stopped);
  });
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].last);
}

TEST(ClientLoopAttempt, AnAnswerToAnEarlierAttemptHasNoEffect) {
  RunningServer served;
  served.server.route("/", tern::test::echo());
  Recorded recorded(9);
  std::vector<tern::Attempt> asked;
  ClientOptions options{.retry = Retry::never()};
  options.before_attempt = [&](tern::Attempt attempt) {
    asked.push_back(attempt);
    if (asked.size() == 1) {  // the next attempt begins while this one waits for its answer
      recorded.client().stop();
      recorded.client().reconnect();
      return;
    }
    asked[0].give_up("too late");
    asked[1].go();
  };
  Client& client = recorded.client(url_of(served.start()), std::move(options));
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open) << recorded.ends[0].text;
}

TEST(ClientLoopAttempt, ASecondStopLeavesTheClosingHandshake) {
  RunningServer served;
  served.server.route("/", tern::test::echo());
  Recorded recorded;
  Client& client = recorded.client(url_of(served.start()));
  std::vector<bool> clean;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    EXPECT_TRUE(client.stop());
                                    EXPECT_TRUE(client.stop());
                                    EXPECT_EQ(client.state(), ClientState::closing);
                                  },
                              .on_message = [](Connection&, Message) {},
                              .on_close =
                                  [&](Connection&, const tern::CloseInfo& info) {
                                    clean.push_back(info.clean);
                                    client.stop();
                                  }}));
  run(recorded.loop);
  EXPECT_EQ(clean, std::vector<bool>{true});
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open);
}

TEST(ClientLoopAttempt, WrongCertificatesForTheProxyAreAnErrorOfConnect) {
  Recorded recorded;
  auto proxy = tern::Proxy::parse("https://127.0.0.1:9");
  ASSERT_TRUE(proxy);
  proxy->tls({.ca_file = "/nonexistent"});
  Client& client = recorded.client("ws://a/", {.dial = {.proxy = *proxy}});
  const auto connected = client.connect({.on_message = [](Connection&, Message) {}});
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), std::errc::no_such_file_or_directory);
}

}  // namespace
