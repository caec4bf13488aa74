// A proxy in a thread. A script answers one handshake; then the proxy moves bytes both ways.
#pragma once

#include "support/socket_peer.h"

#include <array>
#include <csignal>
#include <functional>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>

namespace tern::test {

/// One side of a relay: plain, or TLS as a server.
class RelayEnd {
 public:
  explicit RelayEnd(int fd, SSL_CTX* context = nullptr) : fd_(fd) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd);
    SSL_accept(ssl_);
  }
  RelayEnd(const RelayEnd&) = delete;
  RelayEnd& operator=(const RelayEnd&) = delete;
  ~RelayEnd() { SSL_free(ssl_); }

  int fd() const { return fd_; }
  bool has_more() const { return ssl_ != nullptr && SSL_pending(ssl_) > 0; }
  /// The next bytes; empty: the end.
  std::string receive() {
    std::array<char, 4096> buffer;
    const auto size = static_cast<int>(buffer.size());
    const auto got = ssl_ != nullptr
                         ? SSL_read(ssl_, buffer.data(), size)
                         : static_cast<int>(::recv(fd_, buffer.data(), buffer.size(), 0));
    return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
  }
  std::string receive_exactly(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      char c = 0;
      if ((ssl_ != nullptr ? SSL_read(ssl_, &c, 1) : static_cast<int>(::recv(fd_, &c, 1, 0))) != 1)
        break;
      text += c;
    }
    return text;
  }
  /// An HTTP head with its blank line.
  std::string receive_head() {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      const std::string c = receive_exactly(1);
      if (c.empty()) break;
      head += c;
    }
    return head;
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto size = static_cast<int>(bytes.size());
      const auto sent =
          ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), size)
                          : static_cast<int>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void end() { ::shutdown(fd_, SHUT_WR); }

 private:
  int fd_;
  SSL* ssl_ = nullptr;
};

/// Moves what one end has to the other. False: it has ended.
inline bool move_bytes(RelayEnd& from, RelayEnd& to) {
  const std::string bytes = from.receive();
  if (bytes.empty()) {
    to.end();
    return false;
  }
  to.send(bytes);
  return true;
}

/// Moves bytes both ways until both ends have ended.
inline void relay(RelayEnd& near, RelayEnd& far) {
  bool near_open = true;
  bool far_open = true;
  while (near_open || far_open) {
    pollfd ends[] = {{near_open ? near.fd() : -1, POLLIN, 0},
                     {far_open ? far.fd() : -1, POLLIN, 0}};
    if (!near.has_more() && ::poll(ends, 2, 60'000) <= 0) return;
    if (near_open && (near.has_more() || ends[0].revents != 0)) near_open = move_bytes(near, far);
    if (far_open && ends[1].revents != 0) far_open = move_bytes(far, near);
  }
}

/// Accepts one connection. The script speaks the handshake, and returns the port on 127.0.0.1 to
/// which the bytes then go, or nothing.
class ProxyPeer : public Listener {
 public:
  using Script = std::function<std::optional<std::uint16_t>(RelayEnd&)>;

  explicit ProxyPeer(Script script, SSL_CTX* context = nullptr)
      : thread_([this, script = std::move(script), context] { run(script, context); }) {}
  ~ProxyPeer() { ::shutdown(fd(), SHUT_RDWR); }

 private:
  void run(const Script& script, SSL_CTX* context) {
    // SSL_write does not suppress SIGPIPE.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    const Socket client = accept();
    if (client.fd() < 0) return;
    RelayEnd near(client.fd(), context);
    const auto port = script(near);
    if (!port) return;
    const Socket server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(*port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(server.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return;
    RelayEnd far(server.fd());
    relay(near, far);
  }

  std::jthread thread_;
};

}  // namespace tern::test
