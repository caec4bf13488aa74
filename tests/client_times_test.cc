// The times of the stages of an attempt: dial() and the Client on a loop, plain and TLS, straight
// and through a proxy. All bounds follow from the order of events, not from the speed of a machine.
#include "tern/client.h"
#include "tern/dial.h"
#include "tern/server.h"

#include "client/steps.h"
#include "support/certificates.h"
#include "support/proxy_peer.h"
#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
#include <string>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;
using Time = std::optional<nanoseconds>;

const Authority& authority() {
  static const Authority made;
  return made;
}

class Echo : public RunningServer {
 public:
  explicit Echo(bool secure) : RunningServer(options(secure)), secure_(secure) {
    server.route("/", echo());
    port = start();
  }
  std::string url() const {
    return (secure_ ? "wss://localhost:" : "ws://localhost:") + std::to_string(port) + "/";
  }

  std::uint16_t port = 0;

 private:
  static ServerOptions options(bool secure) {
    if (!secure) return {};
    return {.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                             .private_key_pem = authority().leaf.key()}};
  }

  bool secure_;
};

DialOptions trusting() { return {.tls = {.ca_pem = authority().ca.certificate()}}; }

// ---- the two drivers

StageTimes by_dial(const std::string& url, const DialOptions& options) {
  const auto client = dial(url, options);
  EXPECT_TRUE(client) << client.error().message();
  return client ? client->times() : StageTimes();
}

StageTimes by_client(const std::string& url, const DialOptions& options) {
  Loop loop;
  StageTimes times;
  Client client(loop, url,
                {.dial = options, .retry = Retry::never(), .on_ended = [&](const Ended& ended) {
                   EXPECT_EQ(ended.failure, nullptr) << ended.failure->message();
                   EXPECT_EQ(ended.times, StageTimes());
                   loop.stop();
                 }});
  EXPECT_EQ(client.times(), StageTimes());
  EXPECT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    times = client.times();
                                    client.stop();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(loop);
  EXPECT_EQ(client.times(), StageTimes());
  return times;
}

class ClientTimesOfADriver
    : public testing::TestWithParam<StageTimes (*)(const std::string&, const DialOptions&)> {
 protected:
  // Connects, and checks that the times fit between the start and the end.
  static StageTimes times(const std::string& url, const DialOptions& options = trusting()) {
    const auto began = Clock::now();
    const StageTimes times = GetParam()(url, options);
    EXPECT_LE(times.upgrade.value_or(nanoseconds::max()), Clock::now() - began);
    EXPECT_GT(times.connect.value_or(0ns), 0ns);
    return times;
  }
};

INSTANTIATE_TEST_SUITE_P(Drivers, ClientTimesOfADriver, testing::Values(by_dial, by_client),
                         [](const auto& row) { return row.index == 0 ? "Dial" : "Client"; });

TEST_P(ClientTimesOfADriver, StandInTheOrderOfTheStages) {
  for (const bool secure : {false, true}) {
    const Echo server(secure);
    const StageTimes seen = times(server.url());
    EXPECT_GT(seen.resolve, Time(0ns));
    EXPECT_LE(seen.resolve, seen.connect);
    EXPECT_FALSE(seen.proxy);
    EXPECT_EQ(seen.tls.has_value(), secure);
    if (secure) {
      EXPECT_LT(seen.connect, seen.tls);
    }
    EXPECT_LT(secure ? seen.tls : seen.connect, seen.upgrade);
  }
}

TEST_P(ClientTimesOfADriver, IncludeTheTimeOfTheProxy) {
  const Echo server(true);
  Clock::time_point asked;
  Clock::time_point answered;
  const ProxyPeer proxy([&](RelayEnd& client) -> std::optional<std::uint16_t> {
    asked = Clock::now();
    client.receive_head();
    answered = Clock::now();
    client.send("HTTP/1.1 200 OK\r\n\r\n");
    return server.port;
  });
  DialOptions options = trusting();
  options.proxy = *Proxy::parse("http://" + proxy.authority());
  const StageTimes seen = times("wss://localhost/", options);
  EXPECT_LE(seen.resolve, seen.connect);
  EXPECT_GE(seen.proxy, Time(answered - asked));
  EXPECT_LE(seen.connect, seen.proxy);
  EXPECT_LT(seen.proxy, seen.tls);
  EXPECT_LT(seen.tls, seen.upgrade);
}

TEST_P(ClientTimesOfADriver, OfAGivenSocketHaveNoName) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.send(FrameSource(socket).next());  // the Close frame, if there is one
  });
  DialOptions options;
  Socket given(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(peer.port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(given.fd(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  options.socket = given.release();
  const StageTimes seen = times("ws://name.example/", options);
  EXPECT_FALSE(seen.resolve);
  EXPECT_LE(seen.connect, seen.upgrade);
}

// The client began before the first server accepted.
TEST_P(ClientTimesOfADriver, CountFromTheBeginningAfterARedirect) {
  const Echo server(false);
  Clock::time_point accepted;
  Clock::time_point answered;
  ScriptedPeer peer([&](Socket& socket) {
    accepted = Clock::now();
    socket.receive_head();
    answered = Clock::now();
    socket.send(redirect_to(server.url()));
    socket.receive_end();
  });
  const StageTimes seen = times(peer.url(), {.max_redirects = 1});
  peer.join();
  EXPECT_GE(seen.resolve, Time(answered - accepted));
  EXPECT_LE(seen.resolve, seen.connect);
  EXPECT_LE(seen.connect, seen.upgrade);
}

// An idle client does not keep them.
TEST(ClientTimes, AreForgottenWhenOnOpenHasReturned) {
  const Echo server(false);
  Recorded recorded;
  Client& client = recorded.client(server.url());
  StageTimes later{.upgrade = 1ns};
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    EXPECT_NE(client.times(), StageTimes());
                                    conn.send("x");
                                  },
                              .on_message =
                                  [&](Connection&, Message) {
                                    later = client.times();
                                    client.stop();
                                  }}));
  run(recorded.loop);
  EXPECT_EQ(later, StageTimes());
}

// ---- failures

// The times of the only attempt of a client, which fails in this stage.
StageTimes failed_at(Stage stage, const std::string& url, DialOptions options = trusting()) {
  Recorded recorded;
  StageTimes times;
  recorded.on_end = [&](const Ended& ended) {
    EXPECT_EQ(ended.stage, stage) << ended.failure->message();
    times = ended.times;
  };
  recorded.client(url, {.dial = std::move(options), .retry = {.attempts = 1}});
  recorded.connect();
  run(recorded.loop);
  EXPECT_EQ(recorded.ends.size(), 1u);
  return times;
}

void refuses(Socket& socket) {
  socket.receive_head();
  socket.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  socket.receive_end();
}

TEST(ClientTimesOfAFailure, EndBeforeItsStage) {
  EXPECT_EQ(failed_at(Stage::resolve, "ws://nothing.invalid/"), StageTimes());

  const RefusedPort nowhere;
  const StageTimes refused = failed_at(Stage::connect, nowhere.url());
  EXPECT_TRUE(refused.resolve);
  EXPECT_EQ(refused, (StageTimes{.resolve = refused.resolve}));

  const ProxyPeer proxy([](RelayEnd& client) -> std::optional<std::uint16_t> {
    client.receive_head();
    client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    return {};
  });
  DialOptions options;
  options.proxy = *Proxy::parse("http://" + proxy.authority());
  const StageTimes proxied = failed_at(Stage::proxy, "ws://behind.example/", options);
  EXPECT_TRUE(proxied.resolve && proxied.connect);
  EXPECT_EQ(proxied, (StageTimes{.resolve = proxied.resolve, .connect = proxied.connect}));

  const Echo secure(true);
  const StageTimes untrusted = failed_at(Stage::tls, secure.url(), {});
  EXPECT_TRUE(untrusted.connect);
  EXPECT_FALSE(untrusted.tls);

  ScriptedPeer peer(refuses);
  const StageTimes plain = failed_at(Stage::upgrade, peer.url());
  EXPECT_TRUE(plain.connect);
  EXPECT_FALSE(plain.tls);
  EXPECT_FALSE(plain.upgrade);
}

TEST(ClientTimesOfAFailure, IncludeTlsIfTheServerRefusesAfterwards) {
  RunningServer served({.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                                         .private_key_pem = authority().leaf.key()}});
  served.server.route("/", echo());
  const std::string url = "wss://localhost:" + std::to_string(served.start()) + "/nothing";
  const StageTimes seen = failed_at(Stage::upgrade, url);
  EXPECT_LT(seen.connect, seen.tls);
  EXPECT_FALSE(seen.upgrade);
}

// on_open did not return, so the attempt ends with the connection.
TEST(ClientTimesOfAFailure, AreForgottenIfOnOpenThrows) {
  const Echo server(false);
  Recorded recorded;
  Client& client = recorded.client(server.url(), {.retry = Retry::never()});
  StageTimes seen;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection&) {
                                    seen = client.times();
                                    throw std::runtime_error("on_open");
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  EXPECT_TRUE(seen.upgrade);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open);
  EXPECT_EQ(client.times(), StageTimes());
}

// ---- the rule

TEST(ClientStageClock, NotesTheStagesOfItsSteps) {
  using client::Step;
  const Clock::time_point began{1h};
  client::StageClock clock(began);
  EXPECT_EQ(clock.times(), StageTimes());
  clock.done(Step::find_route, began + 1s);
  EXPECT_EQ(clock.times(), StageTimes());
  clock.done(Step::resolve, began + 2s);
  clock.done(Step::race, began + 3s);
  clock.done(Step::secure_proxy, began + 4s);
  clock.done(Step::tunnel, began + 5s);
  clock.done(Step::secure, began + 6s);
  EXPECT_EQ(clock.times(), (StageTimes{.resolve = 2s, .connect = 3s, .proxy = 5s}))
      << "TLS has only begun";
  clock.secured({});
  EXPECT_FALSE(clock.times().tls);
  clock.secured(began + 7s);
  clock.done(Step::upgrade, began + 8s);
  EXPECT_EQ(clock.times(), (StageTimes{2s, 3s, 5s, 7s, 8s}));
  clock.again();
  EXPECT_EQ(clock.times(), StageTimes());
  clock.done(Step::connect_unix, began + 9s);
  EXPECT_EQ(clock.times(), StageTimes{.connect = 9s});
}

}  // namespace
}  // namespace tern::test
