// The Client on a loop: the URL and the stage that an end names, and what connect() refuses.
#include "tern/client.h"
#include "tern/server.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"
#include "support/upgrade_text.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

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
  served.server.route("/b", echo());
  served.server.route("/c", echo());
  const std::uint16_t port = served.start();
  Recorded recorded(3);
  ClientOptions options{.retry = quick()};
  options.before_attempt = [&](Attempt attempt) {
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
  served.server.route("/", echo());
  const std::string target = url_of(served.start());
  ScriptedPeer peer([&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(target));
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
  recorded.client("ws://nothing.invalid/", {.dial = {.proxy = Proxy::from_environment()}});
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

// The loop is late: the socket is connected, and the time is over, in the same turn.
TEST(ClientLoopAttempt, AWayThatOpensAfterTheDeadlineIsAFailure) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const auto timeout : {std::chrono::nanoseconds(0), std::chrono::nanoseconds(1)}) {
    Recorded recorded;
    recorded.client(url, {.dial = {.timeout = timeout}, .retry = Retry::never()});
    recorded.connect();
    run(recorded.loop);
    ASSERT_EQ(recorded.ends.size(), 1u);
    EXPECT_EQ(recorded.ends[0].code, Errc::handshake_timeout);
  }
}

TEST(ClientLoopAttempt, AnAttemptMayOfferOtherSubprotocols) {
  std::vector<std::string> offers;
  ScriptedPeer peer([&](Socket& socket) {
    offers.push_back(field(socket.receive_head(), "Sec-WebSocket-Protocol"));
    socket.send("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  });
  Recorded recorded;
  ClientOptions options{.dial = {.protocols = {"one", "two"}}, .retry = Retry::never()};
  options.before_attempt = [](Attempt attempt) { attempt.go({}, {}, {"three"}); };
  recorded.client(peer.url(), std::move(options));
  recorded.connect();
  run(recorded.loop);
  recorded.destroy();
  peer.join();
  EXPECT_EQ(offers, std::vector<std::string>{"three"});
}

TEST(ClientLoopAttempt, AnAttemptWithABadSubprotocolFailsInPrepare) {
  Recorded recorded;
  ClientOptions options{.retry = Retry::never()};
  options.before_attempt = [](Attempt attempt) { attempt.go({}, {}, {"no token"}); };
  recorded.client("ws://nothing.invalid/", std::move(options));
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].stage, Stage::prepare);
}

// ---- on_request

// Clients that share their options share the function, too.
TEST(ClientLoopAttempt, OnRequestOfSharedOptionsReceivesTheHeadsOfAllClients) {
  const auto refuse = [](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  };
  ScriptedPeer first(refuse);
  ScriptedPeer second(refuse);
  std::set<std::string> lines;
  Loop loop;
  std::size_t ends = 0;
  auto options = std::make_shared<ClientOptions>(ClientOptions{.retry = Retry::never()});
  options->on_request = [&](std::string_view head) {
    lines.emplace(head.substr(0, head.find("\r\n")));
  };
  options->on_ended = [&](const Ended&) {
    if (++ends == 2) loop.stop();
  };
  Client a(loop, first.url("/a"), options);
  Client b(loop, second.url("/b"), options);
  for (Client* client : {&a, &b}) {
    EXPECT_TRUE(client->connect({.on_message = [](Connection&, Message) {}}));
  }
  run(loop);
  EXPECT_EQ(lines, (std::set<std::string>{"GET /a HTTP/1.1", "GET /b HTTP/1.1"}));
}

TEST(ClientLoopAttempt, OnRequestReceivesEachHeadAsItIsSent) {
  std::vector<std::string> sent;
  const auto answering = [&](const std::string& answer) {
    return [&sent, answer](Socket& socket) {
      sent.push_back(socket.receive_head());
      socket.send(answer + "Content-Length: 0\r\n\r\n");
      socket.receive_end();
    };
  };
  ScriptedPeer last(answering("HTTP/1.1 403 x\r\n"));
  ScriptedPeer first(answering("HTTP/1.1 302 x\r\nLocation: " + last.url("/last") + "\r\n"));
  std::vector<std::string> shown;
  Recorded recorded;
  ClientOptions options{.dial = {.headers = {{"Authorization", "secret"}}, .max_redirects = 1}};
  options.on_request = [&](std::string_view head) { shown.emplace_back(head); };
  recorded.client(first.url("/first?a"), std::move(options));
  recorded.connect();
  run(recorded.loop);
  recorded.destroy();
  first.join();
  last.join();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(sent[0].starts_with("GET /first?a HTTP/1.1\r\n"));
  EXPECT_TRUE(sent[1].starts_with("GET /last HTTP/1.1\r\n"));
  EXPECT_EQ(shown, sent);
}

TEST(ClientLoopAttempt, OnRequestReceivesTheHeadForTheProxy) {
  std::string sent;
  ScriptedPeer proxy([&](Socket& socket) {
    sent = socket.receive_head();
    socket.send("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
    socket.receive_end();
  });
  std::vector<std::string> shown;
  Recorded recorded;
  ClientOptions options;
  options.dial.proxy = *Proxy::parse("http://me:secret@" + proxy.authority());
  options.on_request = [&](std::string_view head) { shown.emplace_back(head); };
  recorded.client("ws://behind.example/", std::move(options));
  recorded.connect();
  run(recorded.loop);
  recorded.destroy();
  proxy.join();
  EXPECT_TRUE(sent.starts_with("CONNECT behind.example:80 HTTP/1.1\r\n"));
  EXPECT_EQ(shown, std::vector<std::string>{sent});
}

// In each of the two places from which on_request is called.
TEST(ClientLoopAttempt, OnRequestMayEndTheClient) {
  for (const bool proxied : {false, true}) {
    for (const bool destroys : {false, true}) {
      ScriptedPeer peer([](Socket& socket) { EXPECT_TRUE(socket.receive().empty()); });
      Recorded recorded;
      int calls = 0;
      ClientOptions options;
      if (proxied) options.dial.proxy = *Proxy::parse("http://" + peer.authority());
      options.on_request = [&](std::string_view) {
        ++calls;
        if (!destroys) return void(recorded.client().stop());
        recorded.destroy();
        recorded.loop.after({}, [&] { recorded.loop.stop(); });
      };
      recorded.client(proxied ? "ws://behind.example/" : peer.url(), std::move(options));
      recorded.connect();
      run(recorded.loop);
      peer.join();
      EXPECT_EQ(calls, 1);
      ASSERT_EQ(recorded.ends.size(), destroys ? 0u : 1u);
      if (!destroys) {
        EXPECT_EQ(recorded.ends[0].code, Errc::stopped);
      }
    }
  }
}

TEST(ClientLoopAttempt, OnRequestThatThrowsIsLoggedAndEndsNothing) {
  RunningServer served;
  served.server.route("/", echo());
  Recorded recorded;
  std::vector<std::string> lines;
  ClientOptions options{.retry = Retry::never()};
  options.on_request = [](std::string_view) { throw std::runtime_error("broken"); };
  options.log = [&](const LogRecord& record) { lines.emplace_back(record.message); };
  Client& client = recorded.client(url_of(served.start()), std::move(options));
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open) << recorded.ends[0].text;
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find("on_request"), std::string::npos) << lines[0];
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
  served.server.route("/", echo());
  Recorded recorded(9);
  std::vector<Attempt> asked;
  ClientOptions options{.retry = Retry::never()};
  options.before_attempt = [&](Attempt attempt) {
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
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_EQ(recorded.ends[0].code, Errc::stopped);
  EXPECT_TRUE(recorded.ends[1].was_open) << recorded.ends[1].text;
}

// The stop ends an attempt, and that end is reported although the client goes on at once.
TEST(ClientLoopAttempt, AStopIsReportedAlsoIfReconnectFollows) {
  const Listener silent;
  Recorded recorded(9);
  Client& client = recorded.client(silent.url());
  recorded.connect();
  std::vector<std::chrono::nanoseconds> waits;
  recorded.on_end = [&](const Ended& ended) {
    if (!ended.wait) return;
    waits.push_back(*ended.wait);
    EXPECT_EQ(client.state(), ClientState::connecting);
    EXPECT_EQ(ended.stage, Stage::upgrade);
    client.reconnect();  // has no effect
    recorded.loop.after(std::chrono::milliseconds(1), [&] { client.stop(); });
  };
  recorded.loop.after(std::chrono::milliseconds(50), [&] {
    client.stop();
    client.reconnect();
    EXPECT_TRUE(recorded.ends.empty()) << "a call of the application called it";
  });
  run(recorded.loop);
  EXPECT_EQ(waits, std::vector<std::chrono::nanoseconds>(1));
  ASSERT_EQ(recorded.ends.size(), 2u);
  EXPECT_EQ(recorded.ends[0].code, Errc::stopped);
  EXPECT_EQ(recorded.ends[1].code, Errc::stopped);
  EXPECT_TRUE(recorded.ends[1].last);
}

TEST(ClientLoopAttempt, OneEndForAStopAReconnectAndAStop) {
  const Listener silent;
  Recorded recorded(9);
  Client& client = recorded.client(silent.url());
  recorded.connect();
  recorded.loop.after(std::chrono::milliseconds(1), [&] {
    client.stop();
    client.reconnect();
    client.stop();
  });
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].last);
  EXPECT_EQ(client.state(), ClientState::stopped);
}

TEST(ClientLoopAttempt, AClientMayBeDestroyedInTheReportOfItsStop) {
  const Listener silent;
  Recorded recorded(9);
  Client& client = recorded.client(silent.url());
  recorded.connect();
  recorded.on_end = [&](const Ended&) {
    recorded.destroy();
    recorded.loop.after(std::chrono::milliseconds(1), [&] { recorded.loop.stop(); });
  };
  recorded.loop.after(std::chrono::milliseconds(1), [&] {
    client.stop();
    client.reconnect();
  });
  run(recorded.loop);
  EXPECT_EQ(recorded.ends.size(), 1u);
}

TEST(ClientLoopAttempt, ASecondStopLeavesTheClosingHandshake) {
  RunningServer served;
  served.server.route("/", echo());
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
                                  [&](Connection&, const CloseInfo& info) {
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
  auto proxy = Proxy::parse("https://127.0.0.1:9");
  ASSERT_TRUE(proxy);
  proxy->tls({.ca_file = "/nonexistent"});
  Client& client = recorded.client("ws://a/", {.dial = {.proxy = *proxy}});
  const auto connected = client.connect({.on_message = [](Connection&, Message) {}});
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace tern::test
