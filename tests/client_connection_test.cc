// The functions of Connection on a client's end work as on a server's end. Each end runs on a loop
// of its own, plain and over TLS.
#include "tern/client.h"
#include "tern/server.h"

#include "support/certificates.h"
#include "support/proxy_peer.h"
#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

const Authority& authority() {
  static const Authority made;
  return made;
}

// A server, and the options for a client of it.
class Side : public RunningServer {
 public:
  explicit Side(bool secure, ServerOptions options = {})
      : RunningServer(with(secure, std::move(options))) {
    tls = secure;
  }
  std::string url(std::uint16_t port) const {
    return (tls ? "wss://127.0.0.1:" : "ws://127.0.0.1:") + std::to_string(port) + '/';
  }
  ClientOptions client() const {
    ClientOptions options{.retry = Retry::never()};
    options.dial.tls.ca_pem = authority().ca.certificate();
    return options;
  }
  bool tls = false;

 private:
  static ServerOptions with(bool secure, ServerOptions options) {
    if (!secure) return options;
    options.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                            .private_key_pem = authority().leaf.key()};
    return options;
  }
};

class ClientConnection : public testing::TestWithParam<bool> {
 public:
  bool tls() const { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(, ClientConnection, testing::Bool(), [](const auto& value) {
  return std::string(value.param ? "Tls" : "Plain");
});

TEST_P(ClientConnection, ReportsItsProperties) {
  Side side(tls(), {.deflate = Deflate{}});
  side.server.route("/", echo(), {.protocols = {"chat"}});
  const std::uint16_t port = side.start();
  Recorded recorded;
  ClientOptions options = side.client();
  options.dial.protocols = {"chat"};
  options.dial.deflate = Deflate{};
  Client& client = recorded.client(side.url(port), std::move(options));
  bool opened = false;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    opened = true;
                                    EXPECT_EQ(conn.protocol(), "chat");
                                    EXPECT_TRUE(conn.deflate());
                                    EXPECT_EQ(conn.remote_address(),
                                              "127.0.0.1:" + std::to_string(port));
                                    EXPECT_TRUE(conn.is_open());
                                    EXPECT_EQ(&conn.loop(), &recorded.loop);
                                    EXPECT_EQ(conn.handle(), client.handle());
                                    EXPECT_EQ(conn.response()->status, 101);
                                    conn.close();
                                    EXPECT_FALSE(conn.is_open());
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  EXPECT_TRUE(opened);
}

TEST_P(ClientConnection, DrainFollowsCongestion) {
  Side side(tls());
  side.server.route("/", echo());
  Recorded recorded;
  ClientOptions options = side.client();
  options.dial.limits.high_water_bytes = 10'000;
  options.dial.limits.low_water_bytes = 1'000;
  Client& client = recorded.client(side.url(side.start()), std::move(options));
  int drained = 0;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    EXPECT_EQ(conn.send(std::string(100'000, 'x')),
                                              SendStatus::congested);
                                  },
                              .on_message = [](Connection&, Message) {},
                              .on_drain =
                                  [&](Connection& conn) {
                                    ++drained;
                                    EXPECT_LE(conn.queued_bytes(), 1'000u);
                                    conn.close();
                                  }}));
  run(recorded.loop);
  EXPECT_EQ(drained, 1);
}

TEST_P(ClientConnection, APausedConnectionDeliversNothing) {
  Side side(tls());
  side.server.route("/", {.on_open =
                              [](Connection& conn) {
                                conn.send("1");
                                conn.send("2");
                              },
                          .on_message = [](Connection&, Message) {}});
  Recorded recorded;
  Client& client = recorded.client(side.url(side.start()), side.client());
  std::vector<std::string> events;
  ASSERT_TRUE(client.connect({.on_message = [&](Connection& conn, Message message) {
    events.emplace_back(message.text());
    if (events.size() > 1) return conn.close();
    conn.pause();
    conn.after(std::chrono::milliseconds(20), [&](Connection& paused) {
      events.emplace_back("resumed");
      paused.resume();
    });
  }}));
  run(recorded.loop);
  EXPECT_EQ(events, (std::vector<std::string>{"1", "resumed", "2"}));
}

TEST_P(ClientConnection, TimersEndWithTheConnection) {
  Side side(tls());
  side.server.route("/", echo());
  Recorded recorded;
  Client& client = recorded.client(side.url(side.start()), side.client());
  int ticks = 0;
  ASSERT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    conn.every(std::chrono::milliseconds(1), [&](Connection& each) {
                                      if (++ticks == 3) each.close();
                                    });
                                    const TimerId never = conn.after({}, [](Connection&) {
                                      ADD_FAILURE() << "a cancelled timer ran";
                                    });
                                    EXPECT_TRUE(conn.cancel(never));
                                  },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  EXPECT_GE(ticks, 3);
}

TEST_P(ClientConnection, AHandlerThatThrowsClosesWith1011) {
  Side side(tls());
  Inbox<CloseCode> closed;
  side.server.route(
      "/", {.on_open = [](Connection& conn) { conn.send("x"); },
            .on_message = [](Connection&, Message) {},
            .on_close = [&](Connection&, const CloseInfo& info) { closed.put(info.code); }});
  Recorded recorded;
  Client& client = recorded.client(side.url(side.start()), side.client());
  ASSERT_TRUE(client.connect({.on_message = [](Connection&, Message) { throw 1; }}));
  run(recorded.loop);
  EXPECT_EQ(closed.take(), CloseCode::internal_error);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::handler_threw);
}

TEST_P(ClientConnection, LargeMessagesPassInBothDirections) {
  Side side(tls(), {.deflate = Deflate{}});
  side.server.route("/", echo());
  Recorded recorded;
  ClientOptions options = side.client();
  options.dial.deflate = Deflate{};
  Client& client = recorded.client(side.url(side.start()), std::move(options));
  std::string large(900'000, 'a');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * i % 23);
  int received = 0;
  ASSERT_TRUE(client.connect({.on_open = [&](Connection& conn) { conn.send(large); },
                              .on_message =
                                  [&](Connection& conn, Message message) {
                                    EXPECT_EQ(message.text(), large);
                                    ++received == 3 ? conn.close() : void(conn.send(message));
                                  }}));
  run(recorded.loop);
  EXPECT_EQ(received, 3);
}

TEST(ClientLoopWays, PassAProxy) {
  for (const bool tls : {false, true}) {
    Side side(tls);
    side.server.route("/", echo());
    const std::uint16_t port = side.start();
    const ProxyPeer proxy([&](RelayEnd& end) -> std::optional<std::uint16_t> {
      end.receive_head();
      end.send("HTTP/1.1 200 Connection established\r\n\r\n");
      return port;
    });
    Recorded recorded;
    ClientOptions options = side.client();
    options.dial.proxy = *Proxy::parse("http://" + proxy.authority());
    options.dial.tls.server_name = "127.0.0.1";
    Client& client = recorded.client(
        (tls ? "wss://" : "ws://") + std::string("no-such-name.invalid/"), std::move(options));
    bool echoed = false;
    ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.send("through"); },
                                .on_message =
                                    [&](Connection& conn, Message message) {
                                      echoed = message.text() == "through";
                                      conn.close();
                                    }}));
    run(recorded.loop);
    EXPECT_TRUE(echoed);
  }
}

int socket_to(std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

TEST(ClientLoopWays, AGivenSocketServesTheFirstAttempt) {
  for (const bool tls : {false, true}) {
    Side side(tls);
    Inbox<std::string> hosts;
    side.server.route("/", [&](Upgrade upgrade) {
      hosts.put(std::string(upgrade.request().header("Host")));
      upgrade.accept(echo());
    });
    const std::uint16_t port = side.start();
    const std::string host = "127.0.0.1:" + std::to_string(port);
    const int fd = socket_to(port);
    Recorded recorded(2);
    ClientOptions options = side.client();
    options.retry = quick();
    options.dial.socket = fd;
    Client& client = recorded.client(side.url(port), std::move(options));
    std::vector<bool> used_it;
    ASSERT_TRUE(client.connect({.on_open =
                                    [&](Connection& conn) {
                                      used_it.push_back(::fcntl(fd, F_GETFD) >= 0);
                                      conn.close();
                                    },
                                .on_message = [](Connection&, Message) {}}));
    run(recorded.loop);
    EXPECT_EQ(used_it.size(), 2u);
    EXPECT_TRUE(used_it.at(0));
    EXPECT_EQ(hosts.take(), host);
    EXPECT_EQ(hosts.take(), host);
  }
}

TEST(ClientLoopWays, AGivenSocketIsClosedIfConnectFails) {
  Loop loop;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Client client(loop, "http://a/", {.dial = {.socket = fd}});
  EXPECT_FALSE(client.connect({.on_message = [](Connection&, Message) {}}));
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(ClientLoopWays, AnEndInsideOfTlsNamesTheStage) {
  for (const bool reset : {false, true}) {
    const ScriptedPeer peer([&](Socket& socket) {
      socket.receive();  // the ClientHello
      reset ? socket.reset() : socket.close();
    });
    Recorded recorded;
    recorded.client("wss://" + peer.authority(), {.retry = {.attempts = 1}});
    recorded.connect();
    run(recorded.loop);
    ASSERT_EQ(recorded.ends.size(), 1u);
    EXPECT_EQ(recorded.ends[0].stage, Stage::tls) << recorded.ends[0].text;
    EXPECT_TRUE(recorded.ends[0].text.starts_with("TLS wss://")) << recorded.ends[0].text;
    EXPECT_TRUE(recorded.ends[0].transient);
  }
}

TEST(ClientLoopWays, ARefusedCertificateIsFatalAndNamesTheStage) {
  Side side(true);
  side.server.route("/", echo());
  Recorded recorded(2);
  recorded.client(side.url(side.start()), {.retry = quick()});  // trusts only the system's store
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::tls_certificate_refused) << recorded.ends[0].text;
  EXPECT_EQ(recorded.ends[0].stage, Stage::tls);
  EXPECT_TRUE(recorded.ends[0].last);
}

}  // namespace
}  // namespace tern::test
