// The rows of the fault matrix over TLS: who attacks speaks it by OpenSSL alone, and may stop at
// any octet. OpenSSL's memory is counted like tern's own, from the start of the program, so that
// the level of a row sees what TLS would leak.
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

/// OpenSSL's calls of malloc are those of a shared library, which the linker does not send to
/// heap.cc; these are. It refuses once it has allocated anything.
inline const bool openssl_is_counted =
    CRYPTO_set_mem_functions(
        [](std::size_t size, const char*, int) { return std::malloc(size); },
        [](void* block, std::size_t size, const char*, int) { return std::realloc(block, size); },
        [](void* block, const char*, int) { std::free(block); }) == 1;

/// A CA, and localhost by it; their files.
inline const Authority& authority() {
  static const Authority made;
  return made;
}
/// "ca.pem", "cert.pem", "key.pem".
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
/// A server's options with a certificate, by default one of the authority's.
inline ServerOptions over_tls(ServerOptions options = {},
                              TlsServer certificate = our_certificate()) {
  EXPECT_TRUE(openssl_is_counted);
  options.tls = std::move(certificate);
  return options;
}
/// A client's options with trust in the authority.
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
  /// The next answer's head; what there is when the server ends before.
  std::string head() {
    std::string head = receive_until("\r\n\r\n");
    const std::size_t end = std::min(head.size(), head.find("\r\n\r\n") + 4);
    reader_.feed(std::string_view(head).substr(end));
    head.resize(end);
    return head;
  }
  /// The next frame as text, e.g. "close 1000"; "end" when the server ended.
  std::string next() {
    while (given_ == reader_.frames().size()) {
      reader_.forget();
      given_ = 0;
      const std::string octets = reader_.fault().empty() ? receive() : std::string();
      if (octets.empty()) return reader_.fault().empty() ? "end" : reader_.fault();
      reader_.feed(octets);
    }
    return to_string(reader_.frames()[given_++]);
  }
  /// Whether the server ends TLS as it should, without sending anything more.
  bool ends() { return receive().empty() && closed_properly(); }

 private:
  FrameReader reader_{Role::server};
  std::size_t given_ = 0;
};

/// As clean_echoes().
inline std::size_t clean_tls_echoes(std::uint16_t port, std::size_t count = 1'000) {
  const sys::Bystander bystander;
  TlsClient client(port);
  return client.upgrade() ? echoes_over(client, count) : 0;
}

/// OpenSSL keeps the texts of the last 16 errors of each thread, in memory that it never gives back
/// before the thread ends: those of the calling thread are all there from now on.
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
  /// CPU time that its thread has used; during a row.
  std::chrono::nanoseconds cpu_time() const {
    timespec used{};
    EXPECT_EQ(::clock_gettime(clock_, &used), 0);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
  /// All that it keeps for good, or for the next connections; in its thread and in this one.
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

/// A row against a server over TLS.
template <class F>
void strike_tls(AttackedTls& attacked, F attack) {
  attacked.warm_up();
  strike(attacked, attack, [](std::uint16_t port) { return clean_tls_echoes(port); });
}

/// A row against tern's clients: a healthy server stands by.
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

/// The server's part of both handshakes; `behind` goes with the 101. False when it stopped.
inline bool answer(TlsSocket& peer, std::string_view behind = {}) {
  if (!peer.shake_hands()) return false;
  const std::string head = peer.receive_until("\r\n\r\n");
  return peer.send(upgrade_answer(head).append(behind));
}

}  // namespace tern::test
