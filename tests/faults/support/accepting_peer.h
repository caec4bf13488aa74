// A peer of many connections, one after the other, without tern's code. Its thread is a bystander.
#pragma once

#include "faults/support/syscalls.h"
#include "support/proxy_peer.h"
#include "support/socket_peer.h"

#include <arpa/inet.h>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>

namespace tern::test {

/// Accepts one connection after the other and runs the script with each. The script has the number
/// of the connection, from 0.
class AcceptingPeer : public Listener {
 public:
  using Script = std::function<void(Socket&, std::size_t number)>;

  explicit AcceptingPeer(Script script)
      : thread_([this, script = std::move(script)] { run(script); }) {}
  ~AcceptingPeer() { ::shutdown(fd(), SHUT_RDWR); }

  std::size_t accepted() const { return accepted_; }

 private:
  void run(const Script& script) {
    const sys::Bystander bystander;
    sigset_t pipe;  // SSL_write does not suppress SIGPIPE
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (;;) {
      Socket socket = accept();
      if (socket.fd() < 0) return;
      script(socket, accepted_++);
    }
  }

  std::atomic<std::size_t> accepted_ = 0;
  std::jthread thread_;
};

/// Moves the bytes of a proxy's client to a port of 127.0.0.1 and back, until both have ended.
inline void relay_to(std::uint16_t port, RelayEnd& client) {
  const Socket server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(server.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return;
  RelayEnd far(server.fd());
  relay(client, far);
}

/// An HTTP proxy that opens each tunnel, to this port; with a context for TLS an https proxy.
inline AcceptingPeer::Script http_proxy_to(std::uint16_t port, SSL_CTX* context = nullptr) {
  return [port, context](Socket& socket, std::size_t) {
    RelayEnd client(socket.fd(), context);
    if (client.receive_head().empty()) return;
    client.send("HTTP/1.1 200 OK\r\n\r\n");
    relay_to(port, client);
  };
}

/// A SOCKS5 proxy without authentication that opens each tunnel, to this port.
inline AcceptingPeer::Script socks_proxy_to(std::uint16_t port) {
  return [port](Socket& socket, std::size_t) {
    using namespace std::string_literals;
    RelayEnd client(socket.fd());
    if (client.receive_exactly(3).size() < 3) return;
    client.send("\x05\x00"s);
    const std::string request = client.receive_exactly(5);
    if (request.size() < 5) return;
    client.receive_exactly(request[3] == 3 ? static_cast<std::size_t>(request[4]) + 2 : 5);
    client.send("\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50"s);
    relay_to(port, client);
  };
}

}  // namespace tern::test
