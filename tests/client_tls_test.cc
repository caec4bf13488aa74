// dial() with wss:// URLs: which certificates it trusts, the texts of its errors, and ends.
#include "tern/dial.h"
#include "tern/server.h"

#include "support/certificates.h"
#include "support/running_server.h"
#include "support/socket_peer.h"

#include <future>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

const Authority& authority() {
  static const Authority made;
  return made;
}

DialOptions trusting(const Identity& ca) { return {.tls = {.ca_pem = ca.certificate()}}; }

std::string url_of(std::uint16_t port, const std::string& host = "localhost") {
  return "wss://" + host + ":" + std::to_string(port) + "/echo";
}

class TlsEcho : public RunningServer {
 public:
  explicit TlsEcho(const Identity& shown = authority().leaf)
      : RunningServer({.tls = TlsServer{.certificate_pem = shown.certificate(),
                                        .private_key_pem = shown.key()}}) {
    server.route("/echo", echo());
    port = start();
  }
  std::uint16_t port = 0;
};

void expect_works(const std::string& url, const DialOptions& options) {
  auto client = dial(url, options);
  ASSERT_TRUE(client) << client.error().message();
  std::string text;
  EXPECT_TRUE(client->send("hello"));
  EXPECT_TRUE(client->receive(text));
  EXPECT_EQ(text, "hello");
  EXPECT_TRUE(client->close());
  EXPECT_FALSE(client->close_info().error);
}

void expect_error(const std::string& url, const DialOptions& options, std::error_code code,
                  const std::vector<std::string>& parts) {
  const auto client = dial(url, options);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code(), code) << client.error().message();
  const std::string message = client.error().message();
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  }
}

TEST(ClientTls, TrustsByFileTextAndPin) {
  TlsEcho echo;
  const PemFiles files;
  const std::string ca = authority().ca.certificate();
  expect_works(url_of(echo.port), {.tls = {.ca_file = files.write("ca.pem", ca)}});
  expect_works(url_of(echo.port, "127.0.0.1"), {.tls = {.ca_pem = ca}});
  expect_works(url_of(echo.port, "127.0.0.1"),
               {.tls = {.ca_pem = ca, .server_name = "localhost."}});
  expect_works(url_of(echo.port), {.tls = {.ca_pem = ca, .pinned_keys = {authority().leaf.pin()}}});
  expect_works(url_of(echo.port), {.tls = {.insecure_accept_any_certificate = true}});
}

// The store of the system, as OpenSSL finds it.
TEST(ClientTls, TrustsTheSystemsStoreByDefault) {
  TlsEcho echo;
  const PemFiles files;
  expect_error(url_of(echo.port), {}, Errc::tls_certificate_refused,
               {"TLS wss://localhost:", "certificate of CN=localhost", "issuer CN=tern test CA",
                "ca_file", "refused"});
  ::setenv("SSL_CERT_FILE", files.write("ca.pem", authority().ca.certificate()).c_str(), 1);
  expect_works(url_of(echo.port), {});
  ::unsetenv("SSL_CERT_FILE");
}

TEST(ClientTls, ErrorsNameTheCertificateAndTheReason) {
  const Identity other = authority().issue({.common_name = "other", .names = "DNS:other.test"});
  TlsEcho echo(other);
  const DialOptions trust = trusting(authority().ca);
  expect_error(
      url_of(echo.port), trust, Errc::tls_certificate_refused,
      {"certificate of CN=other", "hostname mismatch", "expected localhost", "other.test"});
  DialOptions named = trust;
  named.tls.server_name = "other.test";
  expect_works(url_of(echo.port), named);
  named.tls.pinned_keys = {authority().leaf.pin()};
  expect_error(url_of(echo.port), named, Errc::tls_certificate_refused,
               {"none of the pinned keys", other.pin()});
  expect_error(url_of(echo.port), {.tls = {.ca_file = "absent.pem"}},
               std::make_error_code(std::errc::no_such_file_or_directory), {"CA file absent.pem"});
}

TEST(ClientTls, ErrorNamesAServerWithoutTls) {
  RunningServer plain;
  plain.server.route("/echo", echo());
  const std::uint16_t port = plain.start();
  expect_error(url_of(port), {}, Errc::tls_failed, {"TLS wss://localhost:", "does not speak TLS"});
}

TEST(ClientTls, ErrorNamesTheTlsHandshake) {
  ScriptedPeer silent([](Socket& socket) { socket.receive_end(); });
  expect_error("wss://" + silent.authority() + "/", {.timeout = 300ms}, Errc::handshake_timeout,
               {"in the TLS handshake"});
  ScriptedPeer leaving([](Socket& socket) {
    socket.receive();
    socket.send(std::string("\x16\x03\x03", 3));
  });
  expect_error("wss://" + leaving.authority() + "/", {}, Errc::tls_truncated,
               {"in the TLS handshake"});
}

TEST(ClientTls, ReportsARefusedUpgrade) {
  TlsEcho echo;
  auto client =
      dial("wss://localhost:" + std::to_string(echo.port) + "/nowhere", trusting(authority().ca));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().http_status(), 404);
}

TEST(ClientTls, DialsThatShareAMemoryWork) {
  TlsEcho echo;
  DialOptions options = trusting(authority().ca);
  options.tls.memory = std::make_shared<TlsMemory>();
  for (int i = 0; i < 3; ++i) expect_works(url_of(echo.port), options);
}

// ---- a server of OpenSSL without tern, for ends that a correct server does not make

class OpenSslServer {
 public:
  OpenSslServer() : context_(SSL_CTX_new(TLS_server_method())) {
    authority().leaf.use_in(context_);
  }
  ~OpenSslServer() { SSL_CTX_free(context_); }
  OpenSslServer(const OpenSslServer&) = delete;
  OpenSslServer& operator=(const OpenSslServer&) = delete;

  /// Upgrades and then calls `script` with the SSL.
  template <class F>
  void serve(Socket& socket, F script) {
    SSL* const ssl = SSL_new(context_);
    SSL_set_fd(ssl, socket.fd());
    if (SSL_accept(ssl) == 1) {
      std::string head;
      char buffer[4096];
      while (head.find("\r\n\r\n") == head.npos) {
        const int got = SSL_read(ssl, buffer, sizeof buffer);
        if (got <= 0) break;
        head.append(buffer, static_cast<std::size_t>(got));
      }
      write(ssl, upgrade_answer(head));
      script(ssl);
    }
    SSL_free(ssl);
  }
  static void write(SSL* ssl, const std::string& bytes) {
    EXPECT_GT(SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())), 0);
  }

 private:
  SSL_CTX* context_;
};

TEST(ClientTls, Rfc8446_6_1_TruncationBeforeTheCloseIsAnError) {
  OpenSslServer server;
  ScriptedPeer peer([&](Socket& socket) {
    server.serve(socket, [&](SSL* ssl) {
      OpenSslServer::write(ssl, wire(Role::server, text("last words")));
      socket.shutdown_write();
      socket.receive_end();
    });
  });
  auto client = dial("wss://" + peer.authority() + "/", trusting(authority().ca));
  ASSERT_TRUE(client) << client.error().message();
  std::string text;
  ASSERT_TRUE(client->receive(text));
  EXPECT_EQ(text, "last words");
  const auto end = client->receive(text);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Errc::tls_truncated);
  EXPECT_EQ(client->close_info().code, CloseCode::abnormal);
}

TEST(ClientTls, TruncationAfterTheCloseIsClean) {
  OpenSslServer server;
  ScriptedPeer peer([&](Socket& socket) {
    server.serve(socket, [&](SSL* ssl) {
      OpenSslServer::write(ssl, wire(Role::server, closing(1000)));
      char buffer[100];
      EXPECT_EQ(SSL_read(ssl, buffer, sizeof buffer), 8);  // the masked answer
      socket.shutdown_write();
      socket.receive_end();
    });
  });
  auto client = dial("wss://" + peer.authority() + "/", trusting(authority().ca));
  ASSERT_TRUE(client) << client.error().message();
  std::string text;
  EXPECT_EQ(client->receive(text).error().code(), Errc::closed);
  EXPECT_TRUE(client->close());
  EXPECT_TRUE(client->close_info().clean);
  EXPECT_FALSE(client->close_info().error);
}

TEST(ClientTls, DialsThatShareAMemoryResume) {
  OpenSslServer server;
  Listener listener;
  std::vector<bool> resumed;
  std::jthread serving([&] {
    for (int i = 0; i < 3; ++i) {
      Socket socket = listener.accept();
      server.serve(socket, [&](SSL* ssl) {
        resumed.push_back(SSL_session_reused(ssl) == 1);
        socket.receive_end();
      });
    }
  });
  DialOptions options = trusting(authority().ca);
  options.tls.memory = std::make_shared<TlsMemory>();
  for (int i = 0; i < 3; ++i) {
    auto client = dial("wss://" + listener.authority() + "/", options);
    EXPECT_TRUE(client) << client.error().message();
  }
  ::shutdown(listener.fd(), SHUT_RDWR);  // accept() fails if a dial failed
  serving.join();
  EXPECT_EQ(resumed, (std::vector<bool>{false, true, true}));
}

// An end that TLS has already read, so that the socket reports nothing more. TCP stays open.
TEST(ClientTls, ReportsAnEndThatArrivedWithAMessage) {
  OpenSslServer server;
  std::promise<void> sent;
  ScriptedPeer peer([&](Socket& socket) {
    server.serve(socket, [&](SSL* ssl) {
      OpenSslServer::write(ssl, wire(Role::server, text("last")));
      SSL_shutdown(ssl);
      sent.set_value();
      socket.receive_end();
    });
  });
  auto client = dial("wss://" + peer.authority() + "/", trusting(authority().ca));
  ASSERT_TRUE(client) << client.error().message();
  sent.get_future().wait();
  std::string text;
  ASSERT_TRUE(client->receive(text));
  EXPECT_EQ(text, "last");
  const auto received = client->receive(text, 30s);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code(), Errc::end_of_stream);
}

// Many messages arrive in one record. All are received, although the socket is silent after the
// first.
TEST(ClientTls, ReceivesBytesThatTlsHoldsAlready) {
  OpenSslServer server;
  ScriptedPeer peer([&](Socket& socket) {
    server.serve(socket, [&](SSL* ssl) {
      std::string record;
      for (int i = 0; i < 500; ++i) record += wire(Role::server, text(std::to_string(i)));
      std::string large(200'000, 'x');
      OpenSslServer::write(ssl, record + wire(Role::server, text(large)) + record);
      socket.receive_end();
    });
  });
  auto client = dial("wss://" + peer.authority() + "/", trusting(authority().ca));
  ASSERT_TRUE(client) << client.error().message();
  std::string text;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(client->receive(text));
      EXPECT_EQ(text, std::to_string(i));
    }
    if (round == 0) {
      ASSERT_TRUE(client->receive(text));
      EXPECT_EQ(text.size(), 200'000u);
    }
  }
  client->terminate();
}

// send() returns when the system has all bytes, also those of TLS records that waited.
TEST(ClientTls, SendWaitsUntilTheSystemHasAllBytes) {
  OpenSslServer server;
  constexpr std::size_t size = 8 << 20;
  std::size_t received = 0;
  {
    ScriptedPeer peer([&](Socket& socket) {
      server.serve(socket, [&](SSL* ssl) {
        char buffer[65536];
        for (int got = 1; got > 0 && received < size;) {
          got = SSL_read(ssl, buffer, sizeof buffer);
          if (got > 0) received += static_cast<std::size_t>(got);
        }
      });
    });
    auto client = dial("wss://" + peer.authority() + "/", trusting(authority().ca));
    ASSERT_TRUE(client) << client.error().message();
    EXPECT_TRUE(client->send(std::string(size, 'x')));
    peer.join();  // no call of the client is needed
  }
  EXPECT_GE(received, size);
}

}  // namespace
}  // namespace tern::test
