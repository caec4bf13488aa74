// A server over TLS, with tern's clients and with clients that use only OpenSSL.
#include "tern/dial.h"
#include "tern/server.h"

#include "support/certificates.h"
#include "support/raw_socket.h"
#include "support/running_server.h"
#include "support/tls_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <algorithm>
#include <csignal>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

const Authority& authority() {
  static const Authority made;
  return made;
}

ServerOptions with_tls() {
  ServerOptions options;
  options.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                          .private_key_pem = authority().leaf.key()};
  return options;
}

DialOptions trusting(const Identity& ca) { return {.tls = {.ca_pem = ca.certificate()}}; }

std::string url_of(std::uint16_t port, const std::string& path = "/echo") {
  return "wss://localhost:" + std::to_string(port) + path;
}

/// An echo server that records how connections end.
class TlsEcho : public RunningServer {
 public:
  explicit TlsEcho(ServerOptions options = with_tls()) : RunningServer(logged(std::move(options))) {
    Handlers handlers = echo();
    handlers.on_close = [this](Connection&, const CloseInfo& info) { ends.put(info); };
    server.route("/echo", std::move(handlers));
    server.get("/", [](const Request& request) {
      return Response::text("hello " + std::string(request.client_subject()));
    });
    server.get("/numbers", [](const Request& request) {
      const bool fails = request.query("fails") == "yes";
      return Response::stream("text/plain", [fails, i = 0]() mutable -> std::optional<std::string> {
        if (i == 50'000 && fails) throw std::runtime_error("the database is gone");
        if (i == 50'000) return {};
        return std::to_string(i++) + '\n';
      });
    });
    port = start();
  }
  ~TlsEcho() { stop(); }

  Result<BlockingClient> dial() { return tern::dial(url_of(port), trusting(authority().ca)); }
  /// Expects that the server still serves.
  void expect_echo() {
    auto client = dial();
    ASSERT_TRUE(client) << client.error().message();
    std::string text;
    EXPECT_TRUE(client->send("still there"));
    EXPECT_TRUE(client->receive(text));
    EXPECT_EQ(text, "still there");
    EXPECT_TRUE(client->close());
    const auto info = ends.take();
    EXPECT_TRUE(info && info->clean);
  }
  /// Waits until this many handshakes were refused for this reason.
  void expect_refused(const std::string& reason, const std::string& reported) {
    const auto line = log.take();
    EXPECT_NE(line.value_or("").find(reported), std::string::npos) << line.value_or("");
    EXPECT_GE(refusals(reason), 1u) << reason;
  }
  std::uint64_t refusals(const std::string& reason) {
    std::uint64_t count = 0;
    for (const auto& [text, number] : server.counters().refusals)
      count += text == reason ? number : 0;
    return count;
  }

  std::uint16_t port = 0;
  Inbox<CloseInfo> ends{};
  Inbox<std::string> log{};

 private:
  ServerOptions logged(ServerOptions options) {
    options.log = [this](const LogRecord& record) { log.put(std::string(record.message)); };
    return options;
  }
};

bool upgrade(TlsSocket& socket) {
  return socket.shake_hands() && socket.send(upgrade_request()) &&
         socket.receive_until("\r\n\r\n").starts_with("HTTP/1.1 101 ");
}

TEST(ServerTls, EchoesAndEndsCleanly) {
  TlsEcho echo;
  echo.expect_echo();
  TlsSocket socket(echo.port);
  ASSERT_TRUE(upgrade(socket));
  socket.send(wire(Role::client, text("hi")));
  EXPECT_EQ(socket.receive(), wire(Role::server, text("hi")));
  socket.send(wire(Role::client, closing(1000)));
  EXPECT_EQ(socket.receive(), wire(Role::server, closing(1000)));
  EXPECT_EQ(socket.receive(), "");
  EXPECT_TRUE(socket.closed_properly());
  socket.fin();  // without close_notify; after the Close this is no error
  const auto info = echo.ends.take();
  EXPECT_TRUE(info && info->clean && !info->error);
}

TEST(ServerTls, AStreamIsCompleteOnlyWithCloseNotify) {
  TlsEcho echo;
  for (const bool fails : {false, true}) {
    TlsSocket socket(echo.port);
    ASSERT_TRUE(socket.shake_hands());
    socket.send("GET /numbers?fails=" + std::string(fails ? "yes" : "no") +
                " HTTP/1.0\r\nHost: a\r\n\r\n");
    std::string answer;
    for (std::string more = socket.receive(); !more.empty(); more = socket.receive())
      answer += more;
    EXPECT_EQ(answer.ends_with("\n49999\n"), !fails);
    EXPECT_EQ(socket.closed_properly(), !fails);
  }
}

TEST(ServerTls, PagesAreServedOverHttps) {
  TlsEcho echo;
  TlsSocket socket(echo.port);
  ASSERT_TRUE(socket.shake_hands());
  for (int i = 0; i < 2; ++i) {  // the connection is kept
    socket.send(page_request());
    const std::string answer = socket.receive_until("\r\n\r\nhello ");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  }
}

// An attacker may have changed a page that came without TLS. So only https pages are pages of this
// server.
TEST(ServerTls, Rfc6455_10_2_AnOriginHasTheSchemeOfTheServer) {
  struct Case {
    std::string origin;
    int status;
    std::vector<std::string> allowed = {};
  };
  const Case cases[] = {{"https://localhost:", 0},
                        {"http://localhost:", 403},
                        {"http://localhost:", 0, {"*"}},
                        {"http://friend.example", 0, {"http://friend.example"}},
                        {"https://friend.example", 403, {"http://friend.example"}}};
  for (const Case& given : cases) {
    ServerOptions options = with_tls();
    options.allowed_origins = given.allowed;
    TlsEcho echo(options);
    std::string origin = given.origin;
    if (origin.ends_with(':')) origin += std::to_string(echo.port);
    SCOPED_TRACE(origin);
    DialOptions dialing = trusting(authority().ca);
    dialing.headers = {{"Origin", origin}};
    const auto client = tern::dial(url_of(echo.port), dialing);
    EXPECT_EQ(client ? 0 : client.error().http_status(), given.status);
  }
}

TEST(ServerTls, LargeMessagesGoBothWaysAtOnce) {
  ServerOptions options = with_tls();
  options.limits.max_message_bytes = options.limits.max_queued_bytes = 64 << 20;
  TlsEcho echo(std::move(options));
  DialOptions dialing = trusting(authority().ca);
  dialing.limits = {.max_message_bytes = 64 << 20, .max_queued_bytes = 64 << 20};
  auto dialed = tern::dial(url_of(echo.port), dialing);
  ASSERT_TRUE(dialed) << dialed.error().message();
  BlockingClient& client = *dialed;
  std::string large(5 << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 % 251);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(large));
  constexpr int count = 4;
  std::thread sender([&] {
    for (int i = 0; i < count; ++i) EXPECT_TRUE(client.send(bytes));
  });
  std::string got;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(client.receive(got));
    EXPECT_TRUE(got == large) << i;
  }
  sender.join();
  EXPECT_TRUE(client.close());
}

TEST(ServerTls, ThreadsShareAClient) {
  TlsEcho echo;
  auto dialed = echo.dial();
  ASSERT_TRUE(dialed) << dialed.error().message();
  BlockingClient& client = *dialed;
  std::vector<std::thread> senders;
  constexpr int each = 200;
  for (int thread = 0; thread < 3; ++thread) {
    senders.emplace_back([&client, thread] {
      for (int i = 0; i < each; ++i) {
        EXPECT_TRUE(client.send(std::to_string(thread) + ' ' + std::to_string(i)));
      }
    });
  }
  int next[3] = {};
  std::string text;
  for (int i = 0; i < 3 * each; ++i) {
    ASSERT_TRUE(client.receive(text));
    int& expected = next[text.at(0) - '0'];
    EXPECT_EQ(text.substr(2), std::to_string(expected++));
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_TRUE(client.close());
}

// The peer of a paused connection may have sent all its bytes. After resume() the messages that
// wait in TLS and in the engine are delivered, although the socket reports nothing.
TEST(ServerTls, PausedConnectionsReadWhatTlsHolds) {
  RunningServer running(with_tls());
  Inbox<Handle> paused;
  Inbox<std::size_t> done;
  std::size_t count = 0;
  constexpr std::size_t messages = 3000;
  running.server.route("/count", Handlers{.on_message = [&](Connection& conn, Message) {
                         if (++count % 1000 == 1) {
                           conn.pause();
                           paused.put(conn.handle());
                         }
                         if (count == messages) done.put(count);
                       }});
  const std::uint16_t port = running.start();
  auto client = tern::dial(url_of(port, "/count"), trusting(authority().ca));
  ASSERT_TRUE(client) << client.error().message();
  std::thread sender([&] {
    const std::string payload(700, 'x');
    for (std::size_t i = 0; i < messages; ++i) EXPECT_TRUE(client->send(payload));
  });
  for (std::size_t i = 0; i < messages / 1000; ++i) {
    const auto handle = paused.take();
    ASSERT_TRUE(handle);
    handle->post([](Connection& conn) { conn.resume(); });
  }
  EXPECT_EQ(done.take(), messages);
  sender.join();
  client->close();
}

TEST(ServerTls, Rfc8446_6_1_TruncationBeforeTheCloseIsAnError) {
  TlsEcho echo;
  TlsSocket socket(echo.port);
  ASSERT_TRUE(upgrade(socket));
  socket.send(wire(Role::client, text("hi")));
  socket.receive();
  socket.fin();
  const auto info = echo.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::tls_truncated);
  EXPECT_EQ(info->code, CloseCode::abnormal);
  EXPECT_FALSE(info->clean);

  TlsSocket polite(echo.port);
  ASSERT_TRUE(upgrade(polite));
  polite.close_notify();
  polite.fin();
  EXPECT_EQ(echo.ends.take()->error, Errc::end_of_stream);
  echo.expect_echo();
}

TEST(ServerTls, ReportsAReset) {
  TlsEcho echo;
  TlsSocket socket(echo.port);
  ASSERT_TRUE(upgrade(socket));
  socket.send(wire(Role::client, text("hi")));
  socket.receive();
  socket.reset();
  EXPECT_EQ(echo.ends.take()->error, Errc::connection_reset);
  echo.expect_echo();
}

// OpenSSL's own socket BIO would raise SIGPIPE here.
TEST(ServerTls, WritingToALostPeerRaisesNoSignal) {
  struct sigaction before {};
  ::sigaction(SIGPIPE, nullptr, &before);
  ASSERT_EQ(before.sa_handler, SIG_DFL);
  RunningServer running(with_tls());
  Inbox<CloseInfo> ends;
  running.server.route(
      "/echo", Handlers{.on_open =
                            [](Connection& conn) {
                              conn.every(
                                  1ms, [](Connection& self) { self.send(std::string(1000, 'x')); });
                            },
                        .on_message = [](Connection&, Message) {},
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  const std::uint16_t port = running.start();
  for (int i = 0; i < 5; ++i) {
    TlsSocket socket(port);
    ASSERT_TRUE(upgrade(socket));
    socket.receive();
    socket.reset();
    const auto info = ends.take();
    EXPECT_TRUE(info && info->error == Errc::connection_reset);
  }
  struct sigaction after {};
  ::sigaction(SIGPIPE, nullptr, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

TEST(ServerTls, SurvivesAResetAnywhereInTheHandshake) {
  TlsEcho echo;
  std::size_t size = TlsSocket(echo.port).hello().size();
  for (const std::size_t offset :
       {std::size_t{0}, std::size_t{1}, std::size_t{5}, size - 1, size}) {
    TlsSocket socket(echo.port);
    socket.send_raw(socket.hello().substr(0, offset));
    socket.reset();
  }
  echo.expect_echo();
}

TEST(ServerTls, GarbageIsLoggedAndCounted) {
  TlsEcho echo;
  RawSocket plain = RawSocket::connect(echo.port);
  plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(plain.receive_all(), "");  // no alert either, because the peer would not understand it
  echo.expect_refused("tls_failed", "plain HTTP, not TLS");
  plain.close();
  RawSocket noise = RawSocket::connect(echo.port);
  noise.send(std::string(600, '\x7f'));
  EXPECT_EQ(noise.receive_all(), "");
  echo.expect_refused("tls_failed", "does not speak TLS");
  noise.close();
  RawSocket nothing = RawSocket::connect(echo.port);
  nothing.close();
  echo.expect_echo();
}

TEST(ServerTls, TheWrongSchemeIsNamed) {
  TlsEcho echo;
  const auto plain = tern::dial("ws://localhost:" + std::to_string(echo.port) + "/echo");
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().message().find("TLS"), std::string::npos) << plain.error().message();
  RunningServer without;
  without.server.route("/echo", test::echo());
  const std::uint16_t port = without.start();
  const auto secure = tern::dial(url_of(port), trusting(authority().ca));
  ASSERT_FALSE(secure);
  EXPECT_NE(secure.error().message().find("the server does not speak TLS here"), std::string::npos)
      << secure.error().message();
}

TEST(ServerTls, TheAlertReachesAClientThatKeepsSending) {
  ServerOptions options = with_tls();
  options.tls->client_certificates = ClientCertificates::required;
  options.tls->client_ca_pem = authority().ca.certificate();
  TlsEcho echo(std::move(options));
  for (int i = 0; i < 20; ++i) {
    TlsSocket socket(echo.port);
    ASSERT_TRUE(socket.shake_hands());  // TLS 1.3: the client is done before the server is
    for (int more = 0; more < 10; ++more) socket.send(std::string(1000, 'x'));
    EXPECT_EQ(socket.receive(), "");
    EXPECT_NE(socket.reason().find("certificate required"), std::string::npos) << socket.reason();
  }
}

TEST(ServerTls, TheHandlerReadsTheClientsSubject) {
  ServerOptions options = with_tls();
  options.tls->client_certificates = ClientCertificates::optional;
  options.tls->client_ca_pem = authority().ca.certificate();
  RunningServer running(std::move(options));
  struct Greeter {
    explicit Greeter(const Request& request) : name(request.client_subject()) {}
    void on_open(Connection& conn) { conn.send("hello " + name); }
    void on_message(Connection&, Message) {}
    std::string name;
  };
  running.server.route<Greeter>("/session");
  running.server.route("/upgrade", [](Upgrade upgrade) {
    std::thread([upgrade] { upgrade.accept<Greeter>({}, upgrade.request()); }).join();
  });
  const std::uint16_t port = running.start();
  const Identity alice = authority().issue({.common_name = "alice", .names = ""});
  for (const bool shows : {true, false}) {
    DialOptions dialing = trusting(authority().ca);
    if (shows) {
      dialing.tls.certificate = {.certificate_pem = alice.certificate(),
                                 .private_key_pem = alice.key()};
    }
    for (const std::string path : {"/session", "/upgrade"}) {
      SCOPED_TRACE(path);
      auto client = tern::dial(url_of(port, path), dialing);
      ASSERT_TRUE(client) << client.error().message();
      std::string text;
      ASSERT_TRUE(client->receive(text));
      EXPECT_EQ(text, shows ? "hello CN=alice" : "hello ");
      client->close();
    }
  }
}

// ---- deadlines, limits, the end

TEST(ServerTls, AnUnfinishedHandshakeEndsAtItsDeadline) {
  ServerOptions options = with_tls();
  options.timeouts.handshake = 300ms;
  TlsEcho echo(std::move(options));
  TlsSocket silent(echo.port);
  TlsSocket half(echo.port);
  half.send_raw(half.hello().substr(0, 50));
  TlsSocket whole(echo.port);
  whole.send_raw(whole.hello());
  TlsSocket no_request(echo.port);
  ASSERT_TRUE(no_request.shake_hands());
  for (TlsSocket* socket : {&silent, &half, &whole, &no_request}) {
    EXPECT_TRUE(socket->tcp_ends());
  }
  TlsSocket half_request(echo.port);
  ASSERT_TRUE(half_request.shake_hands());
  half_request.send("GET / HT");
  EXPECT_TRUE(half_request.receive_until("\r\n\r\n").starts_with("HTTP/1.1 408 "));
  echo.stop();  // a refusal is counted when its answer is written
  EXPECT_EQ(echo.refusals("handshake_timeout"), 5u);
}

TEST(ServerTls, StoppingEndsHandshakes) {
  TlsEcho echo;
  TlsSocket half(echo.port);
  const std::string hello = half.hello();
  half.send_raw(hello.substr(0, hello.size() - 1));
  TlsSocket deciding(echo.port);
  ASSERT_TRUE(deciding.shake_hands());
  deciding.send(upgrade_request().substr(0, 20));
  echo.expect_echo();  // so that the server has read the bytes above
  echo.server.stop(10s);
  EXPECT_TRUE(deciding.tcp_ends());
  EXPECT_TRUE(half.tcp_ends());
}

TEST(ServerTls, ManyHandshakesAtOnceAreAllServed) {
  TlsEcho echo;
  constexpr std::size_t count = 150;
  std::vector<std::unique_ptr<TlsSocket>> sockets;
  for (std::size_t i = 0; i < count; ++i) {
    sockets.push_back(std::make_unique<TlsSocket>(echo.port));
    sockets.back()->send_raw(sockets.back()->hello());
  }
  for (auto& socket : sockets) ASSERT_TRUE(upgrade(*socket));
  for (auto& socket : sockets) {
    socket->send(wire(Role::client, text("hi")));
    EXPECT_EQ(socket->receive(), wire(Role::server, text("hi")));
  }
}

TEST(ServerTls, StoppingClosesWith1001) {
  TlsEcho echo;
  TlsSocket socket(echo.port);
  ASSERT_TRUE(upgrade(socket));
  echo.server.stop(10s);
  EXPECT_EQ(socket.receive(), wire(Role::server, closing(1001)));
  socket.send(wire(Role::client, closing(1001)));
  EXPECT_EQ(socket.receive(), "");
  EXPECT_TRUE(socket.closed_properly());
  EXPECT_TRUE(echo.ends.take()->clean);
}

// ---- certificates at run time

std::string shown_by(std::uint16_t port) {
  TlsSocket socket(port);
  return socket.shake_hands() ? socket.shown_name() : socket.reason();
}

TEST(ServerTls, NewConnectionsUseReloadedCertificates) {
  const PemFiles files;
  const Authority& ours = authority();
  const Identity first = ours.issue({.common_name = "first"});
  const Identity second = ours.issue({.common_name = "second"});
  ServerOptions options;
  options.tls =
      TlsServer{files.write("cert.pem", first.certificate()), files.write("key.pem", first.key())};
  TlsEcho echo(std::move(options));
  TlsSocket old(echo.port);
  ASSERT_TRUE(upgrade(old));
  EXPECT_EQ(shown_by(echo.port), "first");

  // Each fault is reported, and the old certificate stays in use.
  const auto expect_failure = [&](const std::string& reported) {
    const auto reloaded = echo.server.reload_certificates();
    ASSERT_FALSE(reloaded);
    EXPECT_NE(reloaded.error().message().find(reported), std::string::npos)
        << reloaded.error().message();
    EXPECT_EQ(shown_by(echo.port), "first");
  };
  files.write("cert.pem", second.certificate());
  expect_failure("does not belong");
  files.write("cert.pem", "nothing of the kind");
  expect_failure("holds no certificate");
  std::filesystem::remove(files.path("cert.pem"));
  expect_failure("No such file");

  files.write("cert.pem", second.certificate());
  files.write("key.pem", second.key());
  std::thread([&] { EXPECT_TRUE(echo.server.reload_certificates()); }).join();
  EXPECT_EQ(shown_by(echo.port), "second");
  old.send(wire(Role::client, text("hi")));
  EXPECT_EQ(old.receive(), wire(Role::server, text("hi")));
}

TEST(ServerTls, AServerWithoutItsCertificateDoesNotStart) {
  Server server({.host = "127.0.0.1", .tls = TlsServer{.certificate = "absent.pem"}});
  const auto listening = server.listen();
  ASSERT_FALSE(listening);
  EXPECT_NE(listening.error().message().find("certificate file absent.pem"), std::string::npos);
  EXPECT_EQ(server.port(), 0);
  Server plain({.host = "127.0.0.1"});
  EXPECT_EQ(plain.reload_certificates().error().code(), Errc::tls_options_invalid);
}

TEST(ServerTls, SendsNoPlainHttpAtTheConnectionLimit) {
  ServerOptions options = with_tls();
  options.max_connections = 1;
  TlsEcho echo(std::move(options));
  TlsSocket first(echo.port);
  ASSERT_TRUE(upgrade(first));
  RawSocket second = RawSocket::connect(echo.port);
  EXPECT_EQ(second.receive_all(), "");
}

}  // namespace
}  // namespace tern::test
