// The ways of `tern connect` to its server: TLS, proxies, Unix sockets, other addresses, redirects.

#include "support/certificates.h"
#include "support/proxy_peer.h"
#include "support/running_server.h"
#include "support/tern_command.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/un.h>
#include <thread>

namespace tern::test {
namespace {

// An echo server, plain or with a certificate for localhost.
class Echo {
 public:
  explicit Echo(std::optional<TlsServer> tls = {}) : running_({.tls = std::move(tls)}) {
    running_.server.route("/echo", echo());
    port = running_.start();
  }
  std::string url(const std::string& start = "ws://127.0.0.1") const {
    return start + ':' + std::to_string(port) + "/echo";
  }

  std::uint16_t port = 0;

 private:
  RunningServer running_;
};

void expect_echo(Words arguments) {
  arguments.emplace_back("-1");
  const Outcome outcome = run_tern(arguments, "Hello\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "Hello\n");
}

int code_of(const Words& arguments) { return run_tern(arguments).code; }

// ---- TLS

TEST(TernConnectTls, TrustsWhatTheFlagsSay) {
  const Authority authority;
  const PemFiles files;
  const std::string ca = files.write("ca.pem", authority.ca.certificate());
  const Echo server(TlsServer{.certificate_pem = authority.leaf.certificate(),
                              .private_key_pem = authority.leaf.key()});
  const std::string url = server.url("wss://localhost");
  EXPECT_EQ(code_of({url}), 60);
  expect_echo({"-k", url});
  expect_echo({"--insecure", url});
  expect_echo({"--cacert", ca, url});
  EXPECT_EQ(code_of({"--cacert", ca, "--servername", "other.example", url}), 60);
  expect_echo({"--cacert", ca, "--servername", "localhost", server.url("wss://127.0.0.1")});
}

TEST(TernConnectTls, SendsOurCertificate) {
  const Authority authority;
  const PemFiles files;
  const Identity ours = authority.issue({.common_name = "me"});
  const std::string certificate = files.write("me.pem", ours.certificate());
  const std::string key = files.write("me.key", ours.key());
  const std::string both = files.write("both.pem", ours.certificate() + ours.key());
  const Echo server(TlsServer{.certificate_pem = authority.leaf.certificate(),
                              .private_key_pem = authority.leaf.key(),
                              .client_certificates = ClientCertificates::required,
                              .client_ca_pem = authority.ca.certificate()});
  const std::string url = server.url("wss://localhost");
  EXPECT_EQ(code_of({"-k", url}), 58) << "the server wants a certificate";
  expect_echo({"-k", "--cert", certificate, "--key", key, url});
  expect_echo({"-k", "--cert", both, url});
}

// ---- proxies

// Accepts CONNECT if the head has `needed`, and leads to `port`.
ProxyPeer::Script connecting(std::uint16_t port, std::string needed = {}) {
  return [port, needed](RelayEnd& client) -> std::optional<std::uint16_t> {
    const std::string head = client.receive_head();
    if (!head.starts_with("CONNECT ") || head.find(needed) == head.npos) return {};
    client.send("HTTP/1.1 200 OK\r\n\r\n");
    return port;
  };
}

TEST(TernConnectProxy, IsThatOfTheFlag) {
  const Echo server;
  for (const std::string flag : {"-x", "--proxy"}) {
    const ProxyPeer proxy(connecting(server.port, "CONNECT behind.example:80 "));
    expect_echo({flag, "http://" + proxy.authority(), "ws://behind.example/echo"});
  }
}

TEST(TernConnectProxy, GetsTheCredentials) {
  const Echo server;
  const std::string field = "\r\nProxy-Authorization: Basic bWU6cHc=\r\n";
  const ProxyPeer one(connecting(server.port, field));
  expect_echo({"-x", one.authority(), "--proxy-user", "me:pw", server.url()});
  const ProxyPeer two(connecting(server.port, field));
  expect_echo({"-x", "http://me:pw@" + two.authority(), server.url()});
}

TEST(TernConnectProxy, OverTlsIsTrustedByItsOwnFlag) {
  const Authority authority;
  const PemFiles files;
  const std::string ca = files.write("ca.pem", authority.ca.certificate());
  const Echo server;
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                             SSL_CTX_free);
  authority.leaf.use_in(context.get());
  const ProxyPeer proxy(connecting(server.port), context.get());
  const std::string url = "https://localhost:" + std::to_string(proxy.port());
  expect_echo({"-x", url, "--proxy-cacert", ca, server.url()});
  const ProxyPeer refused(connecting(server.port), context.get());
  EXPECT_EQ(code_of({"-k", "-x", "https://" + refused.authority(), server.url()}), 60);
}

// The first words of tern_words() would remove the variable.
Outcome run_with_proxy(const std::string& proxy, Words arguments) {
  Words words = {"env",
                 "http_proxy=http://" + proxy,
                 "no_proxy=excluded.example",
                 program("tern"),
                 "connect",
                 "-1",
                 "-e",
                 "Hello"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Process tern(words);
  const int code = tern.exit_code();
  return {code, tern.out(), tern.err()};
}

TEST(TernConnectProxy, IsThatOfTheEnvironment) {
  const Echo server;
  const ProxyPeer proxy(connecting(server.port));
  EXPECT_EQ(run_with_proxy(proxy.authority(), {"ws://behind.example/echo"}).out, "Hello\n");
  const RefusedPort nowhere;
  EXPECT_EQ(run_with_proxy(nowhere.authority(), {server.url()}).code, 7);
  EXPECT_EQ(run_with_proxy(nowhere.authority(), {"-x", "", server.url()}).out, "Hello\n");
}

TEST(TernConnectProxy, NoproxyReplacesTheEnvironment) {
  const Echo server;
  const RefusedPort nowhere;
  EXPECT_EQ(run_with_proxy(nowhere.authority(), {"--noproxy", "127.0.0.1", server.url()}).out,
            "Hello\n");
  expect_echo({"-x", nowhere.authority(), "--noproxy", "*", server.url()});
  const ProxyPeer proxy(connecting(server.port));
  const Words arguments = {"--noproxy", "other.example", "ws://excluded.example/echo"};
  EXPECT_EQ(run_with_proxy(proxy.authority(), arguments).out, "Hello\n");
}

// ---- other addresses

TEST(TernConnectWay, UnixSocket) {
  const PemFiles files;
  const std::string path = files.path("socket");
  const Socket listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(listener.fd(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ASSERT_EQ(::listen(listener.fd(), 2), 0);
  const auto serve = [&](Words arguments) {
    std::string head;
    std::jthread server([&] {
      Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      head = socket.upgrade();
      answer_close(socket);
    });
    EXPECT_EQ(code_of(arguments), 0);
    server.join();
    return head.substr(0, head.find("\r\nUpgrade"));
  };
  EXPECT_TRUE(serve({"--unix-socket", path, "ws://name.example/x"})
                  .starts_with("GET /x HTTP/1.1\r\nHost: name.example"));
  EXPECT_TRUE(serve({"ws+unix://" + path + ":/y"}).starts_with("GET /y HTTP/1.1\r\n"));
}

TEST(TernConnectWay, ConnectToKeepsTheHostOfTheUrl) {
  std::promise<std::string> head;
  ScriptedPeer peer([&](Socket& socket) {
    head.set_value(socket.upgrade());
    answer_close(socket);
  });
  EXPECT_EQ(code_of({"--connect-to", peer.authority(), "ws://name.example/"}), 0);
  EXPECT_NE(head.get_future().get().find("\r\nHost: name.example\r\n"), std::string::npos);
}

TEST(TernConnectWay, AddressFamily) {
  const Echo server;
  expect_echo({"-4", server.url("ws://127.0.0.1")});
  expect_echo({"--ipv4", server.url("ws://localhost")});
  for (const std::string flag : {"-6", "--ipv6"}) {
    const Outcome outcome = run_tern({flag, server.url("ws://127.0.0.1")});
    EXPECT_EQ(outcome.code, 6);
    EXPECT_NE(outcome.err.find("127.0.0.1"), std::string::npos) << outcome.err;
  }
}

// A machine without IPv6 cannot listen on ::1. Then there is nothing to connect to.
TEST(TernConnectWay, OnlyIpv6ConnectsToAnIpv6Address) {
  Server server({.host = "::1", .port = 0});
  server.route("/echo", echo());
  if (auto listening = server.listen(); !listening) {
    const std::error_code code = listening.error().code();
    EXPECT_TRUE(code == std::errc::address_not_available ||
                code == std::errc::address_family_not_supported)
        << listening.error().message();
    return;
  }
  std::thread runs([&] { EXPECT_TRUE(server.run()); });
  const std::string url = "ws://[::1]:" + std::to_string(server.port()) + "/echo";
  for (const std::string flag : {"-6", "--ipv6"}) expect_echo({flag, url});
  EXPECT_EQ(code_of({"-4", url}), 6);
  server.stop();
  runs.join();
}

TEST(TernConnectWay, UrlMayLackItsScheme) {
  const Echo server;
  expect_echo({"127.0.0.1:" + std::to_string(server.port) + "/echo"});
}

// ---- redirects

TEST(TernConnectRedirect, IsFollowedIfAsked) {
  const Echo server;
  const auto redirecting = [&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(server.url()));
  };
  for (const std::string flag : {"-L", "--location"}) {
    ScriptedPeer peer(redirecting);
    expect_echo({flag, peer.url()});
  }
  ScriptedPeer refused(redirecting);
  const Outcome outcome = run_tern({refused.url()});
  EXPECT_EQ(outcome.code, 22);
  EXPECT_NE(outcome.err.find("302"), std::string::npos) << outcome.err;
}

TEST(TernConnectRedirect, NumberIsBounded) {
  const Echo server;
  ScriptedPeer second([&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(server.url()));
  });
  const auto first = [&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(second.url()));
  };
  ScriptedPeer one(first);
  EXPECT_EQ(code_of({"-L", "--max-redirs", "1", one.url()}), 47);
}

}  // namespace
}  // namespace tern::test
