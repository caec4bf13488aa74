// The rows of the fault matrix over TLS. The attacker uses only OpenSSL, and may stop at any byte.
// OpenSSL's memory is counted from the start of the program, so the level of a row includes leaks
// of TLS.
#pragma once

#include "tern/dial.h"

#include "faults/support/attacked.h"
#include "faults/support/served_process.h"
#include "support/certificates.h"
#include "support/socket_peer.h"
#include "support/tls_socket.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

/// OpenSSL is a shared library, so the linker does not send its calls of malloc to heap.cc. It uses
/// these functions instead. OpenSSL accepts them only before its first allocation.
inline const bool openssl_is_counted =
    CRYPTO_set_mem_functions(
        [](std::size_t size, const char*, int) { return std::malloc(size); },
        [](void* block, std::size_t size, const char*, int) { return std::realloc(block, size); },
        [](void* block, const char*, int) { std::free(block); }) == 1;

/// A CA, and a certificate for localhost that it issued.
inline const Authority& authority() {
  static const Authority made;
  return made;
}
/// The path of one of its files: "ca.pem", "cert.pem" or "key.pem".
inline std::string pem_file(const std::string& name) {
  static const PemFiles files;
  static const bool written [[maybe_unused]] = [] {
    files.write("ca.pem", authority().ca.certificate());
    files.write("cert.pem", authority().leaf.certificate());
    files.write("key.pem", authority().leaf.key());
    return true;
  }();
  return files.path(name);
}

inline TlsServer our_certificate() {
  return {.certificate_pem = authority().leaf.certificate(),
          .private_key_pem = authority().leaf.key()};
}
/// Options of a server with a certificate, by default the authority's one for localhost.
inline ServerOptions over_tls(ServerOptions options = {},
                              TlsServer certificate = our_certificate()) {
  EXPECT_TRUE(openssl_is_counted);
  options.tls = std::move(certificate);
  return options;
}
/// Options of a client that trusts the authority.
inline DialOptions trusting(DialOptions options = {}) {
  options.tls.ca_pem = authority().ca.certificate();
  return options;
}

/// A WebSocket client over TLS without tern's code.
class TlsClient : public TlsSocket {
 public:
  explicit TlsClient(std::uint16_t port, int version = TLS1_3_VERSION, SSL_CTX* shared = nullptr)
      : TlsSocket(port, shared) {
    SSL_set_max_proto_version(ssl(), version);
  }

  bool upgrade(std::string_view target = "/echo", std::string_view more = {}) {
    return shake_hands() && send(upgrade_request(more, target)) &&
           head().starts_with("HTTP/1.1 101 ");
  }
  using TlsSocket::send;
  bool send(const Frame& frame) { return send(wire(Role::client, frame)); }
  /// Returns the head of the next answer, or the bytes before the server's end.
  std::string head() {
    std::string head = receive_until("\r\n\r\n");
    const std::size_t end = std::min(head.size(), head.find("\r\n\r\n") + 4);
    reader_.feed(std::string_view(head).substr(end));
    head.resize(end);
    return head;
  }
  /// Returns the next frame as text, for example "close 1000"; "end" after the end of the server.
  std::string next() {
    while (given_ == reader_.frames().size()) {
      reader_.forget();
      given_ = 0;
      const std::string bytes = reader_.fault().empty() ? receive() : std::string();
      if (bytes.empty()) return reader_.fault().empty() ? "end" : reader_.fault();
      reader_.feed(bytes);
    }
    return to_string(reader_.frames()[given_++]);
  }
  /// Whether the server ends TLS properly and sends nothing before.
  bool ends() { return receive().empty() && closed_properly(); }

 private:
  FrameReader reader_{Role::server};
  std::size_t given_ = 0;
};

/// clean_echoes() over TLS.
inline std::size_t clean_tls_echoes(std::uint16_t port, std::size_t count = 1'000) {
  const sys::Bystander bystander;
  TlsClient client(port);
  return client.upgrade() ? echoes_over(client, count) : 0;
}

/// OpenSSL keeps the texts of the last 16 errors of each thread, and frees them only when the
/// thread ends. This call allocates all of them in the calling thread, so that they are part of the
/// level.
inline void fill_error_queue() {
  for (int i = 0; i < 16; ++i) ERR_raise_data(ERR_LIB_USER, 1, "error %d", i);
  ERR_clear_error();
}

/// An attacked server over TLS.
class AttackedTls : public Attacked {
 public:
  explicit AttackedTls(ServerOptions options = {}, TlsServer certificate = our_certificate(),
                       Defaults defaults = Defaults::not_set)
      : Attacked(over_tls(std::move(options), std::move(certificate)), defaults) {
    server.get("/fill-error-queue", [this](const Request&) {
      fill_error_queue();
      clockid_t clock{};
      ::pthread_getcpuclockid(::pthread_self(), &clock);
      clock_ = clock;
      return Response::text("filled");
    });
  }
  /// The CPU time that the server's thread has used. Valid during a row.
  std::chrono::nanoseconds cpu_time() const {
    timespec used{};
    EXPECT_EQ(::clock_gettime(clock_, &used), 0);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
  /// Allocates everything that TLS keeps for later connections, in the server's thread and in this
  /// one.
  void warm_up() {
    const sys::Bystander bystander;
    fill_error_queue();
    listening = false;
    fill_pools<TlsClient>(port());
    EXPECT_TRUE(deserted());
    listening = true;
    TlsClient client(port());
    ASSERT_TRUE(client.shake_hands());
    client.send(page_request("/fill-error-queue"));
    EXPECT_TRUE(client.head().starts_with("HTTP/1.1 200 "));
  }

 private:
  std::atomic<clockid_t> clock_ = 0;
};

/// Runs a row against a server over TLS.
template <class F>
void strike_tls(AttackedTls& attacked, F attack) {
  attacked.warm_up();
  strike(attacked, attack, [](std::uint16_t port) { return clean_tls_echoes(port); });
}

/// Runs a row against tern's clients. A healthy server runs beside it and gives the level.
template <class F>
void strike_tls_clients(F attack) {
  AttackedTls healthy;
  healthy.start();
  healthy.warm_up();
  healthy.listening = false;
  strike_until_level(healthy.server, attack, [&] {
    EXPECT_EQ(clean_tls_echoes(healthy.port()), 1'001u);
    EXPECT_EQ(tern_echoes(healthy.url(), 1'000, trusting()), 1'001u);
  });
}

/// build/bin/echo_server with a certificate.
class AttackedTlsProgram : public AttackedProgram {
 public:
  explicit AttackedTlsProgram(std::vector<std::string> flags = {})
      : AttackedProgram(with_certificate(std::move(flags)),
                        [](std::uint16_t port) { return clean_tls_echoes(port); }) {}

 private:
  static std::vector<std::string> with_certificate(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--cert", pem_file("cert.pem"), "--key", pem_file("key.pem")});
    return flags;
  }
};

/// Accepts one connection and runs the script with the server's end of TLS, in a thread.
class TlsPeer : public ScriptedPeer {
 public:
  explicit TlsPeer(std::function<void(TlsSocket&)> script,
                   const Identity& shown = test::authority().leaf)
      : ScriptedPeer([script = std::move(script), shown](Socket& socket) {
          TlsSocket tls(socket.release(), shown);
          script(tls);
        }) {}

  std::string url() const { return "wss://" + Listener::authority() + "/echo"; }
};

/// Does the server's part of both handshakes. Sends `behind` after the 101. Returns false if a
/// handshake failed.
inline bool answer(TlsSocket& peer, std::string_view behind = {}) {
  if (!peer.shake_hands()) return false;
  const std::string head = peer.receive_until("\r\n\r\n");
  return peer.send(upgrade_answer(head).append(behind));
}

}  // namespace tern::test
