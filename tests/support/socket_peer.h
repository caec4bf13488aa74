// The other end of a connection, for tests of clients: plain blocking sockets on loopback and a
// thread with a script. It uses no socket code of tern. A script that waits in vain gives up after
// 60 s, so that a broken client fails its test and does not hang it.
#pragma once

#include "support/upgrade_text.h"
#include "support/wire.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {

/// A blocking socket that owns its descriptor.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {
    const timeval limit{.tv_sec = 60, .tv_usec = 0};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  Socket(Socket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), unread_(std::move(other.unread_)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() { close(); }

  int fd() const { return fd_; }
  /// Returns the descriptor; the caller owns it afterwards.
  int release() { return std::exchange(fd_, -1); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }
  /// Closes with RST.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  /// Sends all bytes; returns false if the connection is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool send(const Frame& frame) { return send(wire(Role::server, frame)); }

  /// The available bytes, at least one; empty at the end, which sets `error` to its errno.
  std::string receive() {
    if (!unread_.empty()) return std::exchange(unread_, {});
    std::string bytes(256 << 10, '\0');
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    error = got < 0 ? errno : 0;
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  /// Receives up to the blank line. The bytes after it come with the next receive().
  std::string receive_head() {
    std::string head;
    std::size_t end = head.npos;
    while (end == head.npos) {
      const std::string more = receive();
      if (more.empty()) return head;
      head += more;
      end = head.find("\r\n\r\n");
    }
    unread_ = head.substr(end + 4);
    head.resize(end + 4);
    return head;
  }
  /// Discards all input until the peer ends TCP; returns whether it did.
  bool receive_end() {
    while (!receive().empty()) {
    }
    return error == 0 || error == ECONNRESET;
  }

  /// Runs the handshake of a server; `behind` goes into the segment of the 101. Returns the head of
  /// the request.
  std::string upgrade(std::string_view more_fields = {}, std::string_view behind = {}) {
    const std::string head = receive_head();
    send(upgrade_answer(head, more_fields).append(behind));
    return head;
  }

  int error = 0;

 private:
  int fd_;
  std::string unread_{};
};

/// Reads frames of a client from a socket with the strict reader.
class FrameSource {
 public:
  explicit FrameSource(Socket& socket) : socket_(socket) {}

  /// The next frame; opcode 15 if there is none, because the connection ended or a frame was wrong.
  Frame next() {
    while (at_ == reader_.frames().size()) {
      reader_.forget();
      at_ = 0;
      const std::string bytes = socket_.receive();
      if (bytes.empty() || !reader_.fault().empty()) return {15, reader_.fault()};
      reader_.feed(bytes);
    }
    return reader_.frames()[at_++];
  }
  /// The next frame as text: "text Hello".
  std::string next_text() { return to_string(next()); }

 private:
  Socket& socket_;
  FrameReader reader_{Role::client};
  std::size_t at_ = 0;
};

/// Listens on loopback; port 0 is any.
class Listener {
 public:
  explicit Listener(int backlog = 16, std::uint16_t port = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int small =
        64 << 10;  // so that the pipe to a peer that does not read is soon full; inherited
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
    if (backlog >= 0) ::listen(socket_.fd(), backlog);
    socklen_t bytes = sizeof name;
    ::getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&name), &bytes);
    port_ = ntohs(name.sin_port);
  }

  std::uint16_t port() const { return port_; }
  std::string authority() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url(std::string_view target = "/echo") const {
    return "ws://" + authority() + std::string(target);
  }
  Socket accept() { return Socket(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC)); }
  int fd() const { return socket_.fd(); }

 private:
  Socket socket_;
  std::uint16_t port_ = 0;
};

/// A port on which no program listens and that no program gets: each connect() is refused.
class RefusedPort : public Listener {
 public:
  RefusedPort() : Listener(-1) {}
};

/// Accepts one connection and runs the script with it, in a thread.
class ScriptedPeer : public Listener {
 public:
  explicit ScriptedPeer(std::function<void(Socket&)> script)
      : thread_([this, script = std::move(script)] {
          Socket socket = accept();
          script(socket);
        }) {}
  ~ScriptedPeer() {
    ::shutdown(fd(), SHUT_RDWR);  // ends accept() if no client connected
  }
  void join() { thread_.join(); }

 private:
  std::jthread thread_;
};

}  // namespace tern::test
