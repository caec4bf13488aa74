// The stages of an attempt to connect, as one table. Each row lets an attempt come to its stage and
// no further, and says when it is there. A test that includes this file is linked with wrappers for
// getaddrinfo and connect (tests/CMakeLists.txt).
#pragma once

#include "tern/client.h"

#include "support/certificates.h"
#include "support/socket_peer.h"
#include "support/tls_socket.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace tern::test {

// Look-ups may still use these variables when the process ends, so they have no destructor.
inline std::atomic<int> reached_stages = 0;
inline std::atomic<int> lookup_round = 0;        // a look-up of held.invalid waits for the next one
inline std::atomic<std::uint16_t> tcp_to = 0;    // a connect() to this port reaches its stage
inline std::atomic<bool> held_is_found = false;  // whether held.invalid has an address

inline void reach_stage() {
  ++reached_stages;
  reached_stages.notify_all();
}
/// Waits until the attempt has come to its stage.
inline void wait_for_stage() { reached_stages.wait(0); }

/// Lets the look-ups of held.invalid end.
inline void end_lookups(bool with_an_address = false) {
  held_is_found = with_an_address;
  ++lookup_round;
  lookup_round.notify_all();
}

inline const Authority& stage_authority() {
  static const Authority made;
  return made;
}

/// A URL and options with which an attempt stays in one stage. After it was destroyed, nothing
/// holds the attempt any more.
class Stall {
 public:
  Stall() {
    reached_stages = 0;
    tcp_to = 0;
    dial.tls.ca_pem = stage_authority().ca.certificate();
  }
  Stall(const Stall&) = delete;
  Stall& operator=(const Stall&) = delete;
  ~Stall() { release(); }

  /// Lets the look-up end and answers the attempts of before_attempt, both too late.
  void release() {
    end_lookups();
    for (const Attempt& attempt : attempts) attempt.go();
    attempts.clear();
  }

  // ---- for the rows
  std::string url{};
  DialOptions dial{};
  bool asks = false;   ///< before_attempt does not answer
  bool waits = false;  ///< the attempt fails, and the client waits for the next one
  std::vector<Attempt> attempts{};

  /// A peer of one connection. After the script the attempt is in its stage, and the peer is
  /// silent.
  std::string peer(std::function<void(Socket&)> script) {
    return earlier_peer([script = std::move(script)](Socket& socket) {
      script(socket);
      reach_stage();
    });
  }
  /// The same, but the attempt goes on.
  std::string earlier_peer(std::function<void(Socket&)> script) {
    peers_.emplace_back([script = std::move(script)](Socket& socket) {
      script(socket);
      socket.receive_end();
    });
    return peers_.back().authority();
  }
  /// A server that answers with a redirect.
  std::string redirect_to(const std::string& authority) {
    return earlier_peer([authority](Socket& socket) {
      socket.receive_head();
      socket.send("HTTP/1.1 307 There\r\nLocation: ws://" + authority +
                  "/\r\nContent-Length: 0\r\n\r\n");
    });
  }
  void proxy(const std::string& scheme, const std::string& authority) {
    url = "ws://127.0.0.1/";
    auto parsed = Proxy::parse(scheme + "://" + authority);
    parsed->tls(dial.tls);
    dial.proxy = *parsed;
  }
  /// A port that drops packets.
  std::string full_port() {
    full_.emplace(0);
    for (int i = 0; i < 8; ++i) {
      Socket& filler =
          fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(full_->port());
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      ::connect(filler.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    tcp_to = full_->port();
    return full_->authority();
  }
  std::string refused_port() {
    refused_.emplace();
    return refused_->authority();
  }

 private:
  std::optional<Listener> full_{};
  std::optional<RefusedPort> refused_{};
  std::deque<Socket> fillers_{};
  std::deque<ScriptedPeer> peers_{};
};

/// A stage of an attempt.
struct StalledStage {
  const char* name;
  Stage stage;       ///< that a client on a loop reports
  const char* text;  ///< the beginning of the error of dial(); null: dial() has no such stage
  void (*build)(Stall&);
};

// The scripts of peers.
namespace stages {
inline void hello(Socket& socket) { EXPECT_FALSE(socket.receive().empty()); }
inline void head(Socket& socket) { EXPECT_FALSE(socket.receive_head().empty()); }
inline void socks_request(Socket& socket) {
  hello(socket);
  socket.send(std::string("\x05\x00", 2));
  hello(socket);
}
inline void hello_through_proxy(Socket& socket) {
  head(socket);
  socket.send("HTTP/1.1 200 OK\r\n\r\n");
  hello(socket);
}
// Does the server's part of the TLS handshake, and reads a head.
inline void head_over_tls(Socket& socket) {
  TlsSocket tls(socket.release(), stage_authority().leaf);
  EXPECT_TRUE(tls.shake_hands());
  EXPECT_FALSE(tls.receive_until("\r\n\r\n").empty());
  reach_stage();
  tls.receive();  // the client's end
}
}  // namespace stages

inline constexpr StalledStage stalled_stages[] = {
    {"before_attempt", Stage::prepare, nullptr,
     [](Stall& s) {
       s.url = "ws://127.0.0.1:1/";
       s.asks = true;
     }},
    {"the look-up", Stage::resolve,
     "resolve held.invalid: ", [](Stall& s) { s.url = "ws://held.invalid/"; }},
    {"the look-up of a proxy", Stage::proxy, "proxy held.invalid:1: resolve held.invalid: ",
     [](Stall& s) { s.proxy("http", "held.invalid:1"); }},
    {"the look-up for a SOCKS5 proxy", Stage::resolve, "resolve held.invalid: ",
     [](Stall& s) {
       s.proxy("socks5", s.earlier_peer([](Socket&) {}));
       s.url = "ws://held.invalid/";
     }},
    {"TCP", Stage::connect,
     "connect 127.0.0.1:", [](Stall& s) { s.url = "ws://" + s.full_port() + '/'; }},
    {"TCP to a proxy", Stage::proxy,
     "proxy 127.0.0.1:", [](Stall& s) { s.proxy("http", s.full_port()); }},
    {"TLS with a proxy", Stage::proxy,
     "proxy 127.0.0.1:", [](Stall& s) { s.proxy("https", s.peer(stages::hello)); }},
    {"CONNECT", Stage::proxy,
     "proxy 127.0.0.1:", [](Stall& s) { s.proxy("http", s.peer(stages::head)); }},
    {"the greeting of SOCKS5", Stage::proxy,
     "proxy 127.0.0.1:", [](Stall& s) { s.proxy("socks5h", s.peer(stages::hello)); }},
    {"the request of SOCKS5", Stage::proxy,
     "proxy 127.0.0.1:", [](Stall& s) { s.proxy("socks5h", s.peer(stages::socks_request)); }},
    {"TLS", Stage::tls,
     "TLS wss://127.0.0.1:", [](Stall& s) { s.url = "wss://" + s.peer(stages::hello) + '/'; }},
    {"TLS behind a proxy", Stage::tls, "TLS wss://127.0.0.1",
     [](Stall& s) {
       s.proxy("http", s.peer(stages::hello_through_proxy));
       s.url = "wss://127.0.0.1/";
     }},
    {"the upgrade", Stage::upgrade,
     "upgrade ws://127.0.0.1:", [](Stall& s) { s.url = "ws://" + s.peer(stages::head) + '/'; }},
    {"the upgrade over TLS", Stage::upgrade, "upgrade wss://127.0.0.1:",
     [](Stall& s) { s.url = "wss://" + s.peer(stages::head_over_tls) + '/'; }},
    {"the upgrade after a redirect", Stage::upgrade, "upgrade ws://127.0.0.1:",
     [](Stall& s) {
       s.dial.max_redirects = 1;
       s.url = "ws://" + s.redirect_to(s.peer(stages::head)) + '/';
     }},
    {"the wait before the next attempt", Stage::prepare, nullptr,
     [](Stall& s) {
       s.url = "ws://" + s.refused_port() + '/';
       s.waits = true;
     }},
};

}  // namespace tern::test
