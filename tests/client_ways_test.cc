// The ways of dial() and of a Client to a server: proxies, redirects, Unix sockets, other
// addresses, given sockets, and a stop at each stage.
#include "tern/client.h"
#include "tern/dial.h"
#include "tern/server.h"

#include "support/certificates.h"
#include "support/proxy_peer.h"
#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"
#include "support/upgrade_text.h"

#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stop_token>
#include <string>
#include <sys/un.h>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

const Authority& authority() {
  static const Authority made;
  return made;
}

// An echo server. /report also stores fields of the request in `hosts` and `fields`.
class Echo : public RunningServer {
 public:
  enum class Security : std::uint8_t { plain, tls };
  explicit Echo(Security security = Security::plain) : RunningServer(options(security)) {
    server.route("/echo", echo());
    server.route("/report", [this](Upgrade upgrade) {
      hosts.put(std::string(upgrade.request().header("Host")));
      fields.put(std::string(upgrade.request().header("Authorization")) + '|' +
                 std::string(upgrade.request().header("User-Agent")));
      upgrade.accept(echo());
    });
    port = start();
  }
  std::string url(std::string_view host = "127.0.0.1", std::string_view target = "/echo") const {
    return "ws://" + std::string(host) + ':' + std::to_string(port) + std::string(target);
  }

  Inbox<std::string> hosts{};
  Inbox<std::string> fields{};
  std::uint16_t port = 0;

 private:
  static ServerOptions options(Security security) {
    if (security == Security::plain) return {};
    return {.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                             .private_key_pem = authority().leaf.key()}};
  }
};

enum class Driver : std::uint8_t { dial, client };

// Each test runs with dial() and with a Client on a loop.
class ClientWays : public testing::TestWithParam<Driver> {
 protected:
  // Sends a large message to and fro. Returns the address that the client is connected to.
  static std::string expect_echo(const std::string& url, const DialOptions& options = {}) {
    return GetParam() == Driver::dial ? echo_by_dial(url, options) : echo_by_client(url, options);
  }
  static Error failure(const std::string& url, const DialOptions& options) {
    return GetParam() == Driver::dial ? failure_of_dial(url, options)
                                      : failure_of_client(url, options);
  }

  // Requests a stop from another thread when `ready` returns.
  template <class F>
  static Error stopped_when(F&& ready, const std::string& url, DialOptions options) {
    std::stop_source source;
    options.stop = source.get_token();
    const std::jthread stopper([&] {
      ready();
      source.request_stop();
    });
    return failure(url, options);
  }

  // Requests a stop when a peer has received the first head and keeps silent.
  static Error stopped_behind_the_head(Listener& silent, const std::string& url,
                                       const DialOptions& options) {
    std::optional<Socket> peer;
    return stopped_when(
        [&] {
          peer.emplace(silent.accept());
          peer->receive_head();
        },
        url, options);
  }

 private:
  static std::string echo_by_dial(const std::string& url, const DialOptions& options) {
    auto client = dial(url, options);
    EXPECT_TRUE(client) << client.error().message();
    if (!client) return {};
    const std::string large(300'000, 'x');
    std::string text;
    EXPECT_TRUE(client->send(large));
    EXPECT_TRUE(client->receive(text));
    EXPECT_EQ(text, large);
    EXPECT_TRUE(client->close());
    return client->remote_address();
  }
  static std::string echo_by_client(const std::string& url, const DialOptions& options) {
    const std::string large(300'000, 'x');
    std::string address;
    bool echoed = false;
    Recorded recorded;
    Client& client = recorded.client(url, {.dial = options, .retry = Retry::never()});
    EXPECT_TRUE(client.connect({.on_open =
                                    [&](Connection& conn) {
                                      address = conn.remote_address();
                                      conn.send(large);
                                    },
                                .on_message =
                                    [&](Connection& conn, Message message) {
                                      echoed = message.text() == large;
                                      conn.close();
                                    }}));
    run(recorded.loop);
    EXPECT_TRUE(echoed) << recorded.ends.at(0).text;
    return address;
  }

  static Error failure_of_dial(const std::string& url, const DialOptions& options) {
    auto client = dial(url, options);
    EXPECT_FALSE(client);
    return client ? Error(Errc{}) : client.error();
  }
  static Error failure_of_client(const std::string& url, const DialOptions& options) {
    Error failed(Errc{});
    Recorded recorded;
    recorded.on_end = [&](const Ended& ended) {
      EXPECT_NE(ended.failure, nullptr) << "it was open";
      if (ended.failure != nullptr) failed = *ended.failure;
    };
    Client& client = recorded.client(url, {.dial = options, .retry = Retry::never()});
    const auto begun = client.connect({.on_message = [](Connection&, Message) {}});
    if (!begun) return begun.error();
    run(recorded.loop);
    return failed;
  }
};

INSTANTIATE_TEST_SUITE_P(Drivers, ClientWays, testing::Values(Driver::dial, Driver::client),
                         [](const auto& row) { return row.index == 0 ? "Dial" : "Client"; });

Proxy proxy_at(const Listener& listener, const std::string& scheme = "http") {
  return *Proxy::parse(scheme + "://" + listener.authority());
}

// Accepts CONNECT, and puts the head into `heads`.
ProxyPeer::Script http_proxy(Inbox<std::string>& heads, std::uint16_t to) {
  return [&heads, to](RelayEnd& client) -> std::optional<std::uint16_t> {
    heads.put(client.receive_head());
    client.send("HTTP/1.1 200 Connection established\r\n\r\n");
    return to;
  };
}

ProxyPeer::Script socks_proxy(Inbox<std::string>& requests, std::uint16_t to) {
  return [&requests, to](RelayEnd& client) -> std::optional<std::uint16_t> {
    client.receive_exactly(3);
    client.send("\x05\x00"s);
    std::string request = client.receive_exactly(4);
    request += client.receive_exactly(1);
    const std::size_t rest = request[3] == 3 ? static_cast<std::size_t>(request[4]) + 2 : 5;
    request += client.receive_exactly(rest);
    requests.put(request);
    client.send("\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50"s);
    return to;
  };
}

ProxyPeer::Script answering(std::string answer) {
  return [answer = std::move(answer)](RelayEnd& client) -> std::optional<std::uint16_t> {
    client.receive_head();
    client.send(answer);
    return {};
  };
}

// ---- proxies

TEST_P(ClientWays, PassesAnHttpProxy) {
  const Echo echo;
  Inbox<std::string> heads;
  const ProxyPeer proxy(http_proxy(heads, echo.port));
  // The proxy resolves the name, which does not exist here.
  expect_echo("ws://no-such-name.invalid:81/echo",
              {.proxy = proxy_at(proxy), .host = "127.0.0.1", .user_agent = "test"});
  EXPECT_EQ(heads.take(),
            "CONNECT no-such-name.invalid:81 HTTP/1.1\r\n"
            "Host: no-such-name.invalid:81\r\nUser-Agent: test\r\n\r\n");
}

TEST_P(ClientWays, PassesAnHttpProxyWithTlsToTheServer) {
  const Echo echo(Echo::Security::tls);
  Inbox<std::string> heads;
  const ProxyPeer proxy(http_proxy(heads, echo.port));
  expect_echo("wss://localhost/echo",
              {.tls = {.ca_pem = authority().ca.certificate()}, .proxy = proxy_at(proxy)});
}

TEST_P(ClientWays, PassesAnHttpsProxyWithTlsInTls) {
  for (const auto security : {Echo::Security::plain, Echo::Security::tls}) {
    const Echo echo(security);
    Inbox<std::string> heads;
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                               SSL_CTX_free);
    authority().leaf.use_in(context.get());
    const ProxyPeer peer(http_proxy(heads, echo.port), context.get());
    auto proxy = *Proxy::parse("https://localhost:" + std::to_string(peer.port()));
    proxy.tls({.ca_pem = authority().ca.certificate()});
    const bool secure = security == Echo::Security::tls;
    expect_echo(secure ? "wss://localhost/echo" : "ws://localhost/echo",
                {.tls = {.ca_pem = authority().ca.certificate()}, .proxy = proxy});
  }
}

TEST_P(ClientWays, AnHttpsProxyMustShowACertificate) {
  const Echo echo;
  Inbox<std::string> heads;
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                             SSL_CTX_free);
  authority().leaf.use_in(context.get());
  const ProxyPeer peer(http_proxy(heads, echo.port), context.get());
  const auto proxy = *Proxy::parse("https://localhost:" + std::to_string(peer.port()));
  EXPECT_EQ(failure("ws://localhost/echo", {.proxy = proxy}).code(), Errc::tls_certificate_refused);
  EXPECT_TRUE(heads.empty() || heads.take() == "");
}

TEST_P(ClientWays, Socks5hLetsTheProxyResolveTheName) {
  const Echo echo;
  Inbox<std::string> requests;
  const ProxyPeer proxy(socks_proxy(requests, echo.port));
  expect_echo("ws://no-such-name.invalid:80/echo",
              {.proxy = proxy_at(proxy, "socks5h"), .host = "127.0.0.1"});
  EXPECT_EQ(requests.take(), "\x05\x01\x00\x03\x14no-such-name.invalid\x00\x50"s);
}

TEST_P(ClientWays, Socks5ResolvesTheNameHere) {
  const Echo echo;
  Inbox<std::string> requests;
  const ProxyPeer proxy(socks_proxy(requests, echo.port));
  expect_echo("ws://localhost:80/echo",
              {.proxy = proxy_at(proxy, "socks5"), .family = AddressFamily::ipv4});
  EXPECT_EQ(requests.take(), "\x05\x01\x00\x01\x7F\x00\x00\x01\x00\x50"s);
}

TEST_P(ClientWays, ARefusingProxyIsNamedWithItsAnswer) {
  const ProxyPeer forbidding(answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
  const Error forbidden = failure("ws://a/", {.proxy = proxy_at(forbidding)});
  EXPECT_EQ(forbidden.code(), Errc::proxy_refused);
  EXPECT_EQ(forbidden.http_status(), 403);
  EXPECT_EQ(forbidden.message(), "proxy " + forbidding.authority() +
                                     ": the proxy refused to connect (HTTP 403 Forbidden): no");
  const ProxyPeer asking(answering("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n"));
  EXPECT_EQ(failure("ws://a/", {.proxy = proxy_at(asking)}).code(), Errc::proxy_auth_required);
}

// The address alone would read as that of the server.
TEST_P(ClientWays, AProxyThatIsNotReachedIsNamed) {
  const RefusedPort closed;
  const std::string& at = closed.authority();
  for (const char* scheme : {"http", "https", "socks5", "socks5h"}) {
    const Error refused = failure("ws://a/", {.proxy = proxy_at(closed, scheme)});
    EXPECT_EQ(refused.code(), std::errc::connection_refused);
    EXPECT_EQ(refused.message(), "proxy " + at + ": connect " + at + ": Connection refused");
  }
  const Error unknown = failure("ws://a/", {.proxy = *Proxy::parse("nothing.invalid:1")});
  EXPECT_EQ(unknown.code(), Errc::name_not_resolved);
  EXPECT_TRUE(unknown.message().starts_with("proxy nothing.invalid:1: resolve nothing.invalid"))
      << unknown.message();
}

TEST_P(ClientWays, ABrokenProxyFails) {
  for (const std::string& answer :
       {""s, "HTTP/1.1 2"s, "garbage\r\n\r\n"s, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 x\r\n\r\n"s}) {
    const ProxyPeer proxy(answering(answer));
    EXPECT_EQ(failure("ws://a/", {.proxy = proxy_at(proxy)}).code(), Errc::proxy_failed) << answer;
  }
  const RefusedPort closed;
  EXPECT_EQ(failure("ws://a/", {.proxy = proxy_at(closed)}).code(), std::errc::connection_refused);
}

TEST_P(ClientWays, ASilentProxyEndsAtTheDeadline) {
  const Listener silent;
  const Error error = failure("ws://a/", {.timeout = 50ms, .proxy = proxy_at(silent)});
  EXPECT_EQ(error.code(), Errc::handshake_timeout);
  EXPECT_TRUE(error.message().starts_with("proxy " + silent.authority())) << error.message();
}

TEST_P(ClientWays, AnInvalidProxyOfTheEnvironmentIsNamed) {
  ::setenv("ws_proxy", "socks4://x", 1);
  const Error error = failure("ws://a/", {.proxy = Proxy::from_environment()});
  ::unsetenv("ws_proxy");
  EXPECT_EQ(error.code(), Errc::options_invalid);
  EXPECT_NE(error.message().find("ws_proxy"), std::string::npos) << error.message();
}

// ---- redirects

// Answers each request with a redirect to `location`.
class Redirector : public RunningServer {
 public:
  explicit Redirector(std::string location, int status = 302) {
    server.get("/start", [location, status](const Request&) {
      return Response::status(status).header("Location", location);
    });
    port = start();
  }
  std::uint16_t port = 0;
  std::string url() const { return "ws://127.0.0.1:" + std::to_string(port) + "/start"; }
};

TEST_P(ClientWays, FollowsARedirectToAnotherServer) {
  for (const int status : {301, 302, 303, 307, 308}) {
    const Echo echo;
    const Redirector from("http://127.0.0.1:" + std::to_string(echo.port) + "/echo", status);
    expect_echo(from.url(), {.max_redirects = 1});
  }
}

TEST_P(ClientWays, ARedirectIsAnErrorByDefault) {
  const Redirector from("/next");
  const Error error = failure(from.url(), {});
  EXPECT_EQ(error.code(), Errc::upgrade_refused);
  EXPECT_EQ(error.http_status(), 302);
  EXPECT_EQ(error.header("Location"), "/next");
}

TEST_P(ClientWays, RedirectsAreLimited) {
  const Redirector from("/start");
  EXPECT_EQ(failure(from.url(), {.max_redirects = 3}).code(), Errc::too_many_redirects);
}

TEST_P(ClientWays, SecretsStayWithTheirOrigin) {
  Echo echo;
  const Redirector from(echo.url("127.0.0.1", "/report"));
  DialOptions options{.headers = {{"Authorization", "secret"}}, .max_redirects = 1};
  options.user_agent = "test";
  expect_echo(from.url(), options);
  EXPECT_EQ(echo.fields.take(), "|test");
  expect_echo(echo.url("127.0.0.1", "/report"), options);
  EXPECT_EQ(echo.fields.take(), "secret|test");
}

// ---- Unix sockets, other places, given sockets

// A Unix socket that leads to a port.
class UnixSocket {
 public:
  explicit UnixSocket(const std::string& path, std::uint16_t port)
      : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    auto size = static_cast<socklen_t>(sizeof name);
    if (path.front() == '@') {
      name.sun_path[0] = '\0';
      size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    }
    EXPECT_EQ(::bind(listener_.fd(), reinterpret_cast<const sockaddr*>(&name), size), 0);
    EXPECT_EQ(::listen(listener_.fd(), 4), 0);
    thread_ = std::jthread([this, port] {
      const Socket client(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.fd() < 0) return;
      Socket server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::connect(server.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return;
      RelayEnd near(client.fd());
      RelayEnd far(server.fd());
      relay(near, far);
    });
  }
  ~UnixSocket() { ::shutdown(listener_.fd(), SHUT_RDWR); }

 private:
  Socket listener_;
  std::jthread thread_{};
};

TEST_P(ClientWays, ConnectsToUnixSockets) {
  const PemFiles directory;
  const std::string path = directory.path("app.sock");
  const std::string abstract = "@tern_client_ways_" + std::to_string(::getpid());
  {
    const Echo echo;
    const UnixSocket socket(path, echo.port);
    EXPECT_EQ(expect_echo("ws+unix://" + path + ":/echo"), "unix:" + path);
  }
  ::unlink(path.c_str());
  {
    Echo echo;
    const UnixSocket socket(path, echo.port);
    expect_echo("ws://example.org/report", {.unix_socket = path});
    EXPECT_EQ(echo.hosts.take(), "example.org");
  }
  {
    const Echo echo;
    const UnixSocket socket(abstract, echo.port);
    EXPECT_EQ(expect_echo("ws+unix://" + abstract + ":/echo"), "unix:" + abstract);
  }
  const Error missing = failure("ws+unix:///no/such/socket:/echo?secret", {});
  EXPECT_EQ(missing.code(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(missing.message(),
            "connect ws+unix:///no/such/socket:/echo: No such file or directory");
}

TEST_P(ClientWays, ConnectToKeepsTheHostOfTheUrl) {
  Echo echo;
  expect_echo("ws://example.org/report", {.connect_to = "127.0.0.1:" + std::to_string(echo.port)});
  EXPECT_EQ(echo.hosts.take(), "example.org");
  expect_echo(echo.url("127.0.0.1", "/report"), {.host = "other.example:81"});
  EXPECT_EQ(echo.hosts.take(), "other.example:81");
}

TEST_P(ClientWays, UsesAGivenSocketAndClosesIt) {
  Echo echo;
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(echo.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const int fd = socket.release();
  expect_echo("ws://example.org/report", {.socket = fd});
  EXPECT_EQ(echo.hosts.take(), "example.org");
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << "the client has closed it";

  const int unused = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(failure("http://a/", {.socket = unused}).code(), Errc::url_invalid);
  EXPECT_EQ(::fcntl(unused, F_GETFD), -1) << "also when dial() fails before it needs the socket";
}

TEST_P(ClientWays, FamilyAndSourceAddressAreObeyed) {
  const Echo echo;
  expect_echo(echo.url("localhost"), {.family = AddressFamily::ipv4});
  expect_echo(echo.url(), {.source_address = "127.0.0.2"});
  EXPECT_EQ(failure(echo.url(), {.family = AddressFamily::ipv6}).code(), Errc::name_not_resolved);
  EXPECT_EQ(failure(echo.url(), {.source_address = "::1"}).code(), Errc::name_not_resolved);
  EXPECT_EQ(failure(echo.url(), {.source_address = "192.0.2.1"}).code(),
            std::errc::address_not_available);
}

TEST_P(ClientWays, OptionsThatCanNeverWorkAreErrors) {
  for (const DialOptions& options :
       {DialOptions{.unix_socket = "/a", .connect_to = "b:1"}, DialOptions{.connect_to = "b"},
        DialOptions{.connect_to = "b:0"}, DialOptions{.host = "a b"},
        DialOptions{.max_redirects = -1}, DialOptions{.source_address = "localhost"},
        DialOptions{.unix_socket = std::string(108, 'a')},
        DialOptions{.family = AddressFamily::ipv6, .source_address = "127.0.0.1"}}) {
    EXPECT_EQ(failure("ws://a/", options).code(), Errc::options_invalid);
  }
  EXPECT_EQ(failure("ws+unix:///a", {.connect_to = "b:1"}).code(), Errc::options_invalid);
  EXPECT_EQ(failure("ws://a/", {.headers = {{"User-Agent", "x"}}, .user_agent = "y"}).code(),
            Errc::invalid_header);
  EXPECT_EQ(failure("ws://a/", {.user_agent = "y\r\nX: z"}).code(), Errc::invalid_header);
}

// ---- a stop

TEST_P(ClientWays, AStopBeforeTheCallConnectsNothing) {
  std::stop_source source;
  source.request_stop();
  const RefusedPort closed;
  EXPECT_EQ(failure(closed.url(), {.stop = source.get_token()}).code(), Errc::stopped);
}

TEST_P(ClientWays, AStopEndsTheUpgrade) {
  Listener silent;
  EXPECT_EQ(stopped_behind_the_head(silent, silent.url(), {}).code(), Errc::stopped);
}

TEST_P(ClientWays, AStopEndsTheHandshakeWithAProxy) {
  Listener silent;
  const DialOptions options{.proxy = proxy_at(silent)};
  EXPECT_EQ(stopped_behind_the_head(silent, "ws://a/", options).code(), Errc::stopped);
}

TEST_P(ClientWays, AStopEndsTheConnect) {
  // A full queue answers nothing, so the attempt goes on.
  const Listener full(0);
  std::vector<Socket> fillers;
  for (int i = 0; i < 8; ++i) {
    Socket& filler = fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(full.port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    [[maybe_unused]] const int pending =
        ::connect(filler.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  const Error error = stopped_when([] {}, full.url(), {});
  EXPECT_EQ(error.code(), Errc::stopped);
}

}  // namespace
}  // namespace tern::test
