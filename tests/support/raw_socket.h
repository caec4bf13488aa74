// A TCP connection of the system without any code of tern, for peers that break the rules.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace tern::test {

/// A blocking socket, which gives up after 60 seconds of silence. Owns its descriptor.
class RawSocket {
 public:
  /// Connects to 127.0.0.1.
  static RawSocket connect(std::uint16_t port) {
    RawSocket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    if (::connect(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      socket.close();
    }
    return socket;
  }
  /// Binds to 127.0.0.1, by default to a port of the system's choosing; does not listen yet.
  static RawSocket bound(std::uint16_t port = 0) {
    RawSocket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    if (::bind(socket.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      socket.close();
    }
    return socket;
  }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~RawSocket() { close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  void listen() const { EXPECT_EQ(::listen(fd_, 16), 0) << errno; }
  RawSocket accept() const { return RawSocket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }
  /// The local port.
  std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0) << errno;
    return ntohs(address.sin_port);
  }

  /// Sends all bytes; returns false if the peer is gone.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// The next bytes; empty at the end of the stream, or after 60 seconds, which fails the test.
  std::string receive() const {
    std::string bytes(65536, '\0');
    const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), 0);
    EXPECT_FALSE(size < 0 && errno == EAGAIN) << "the peer is silent";
    bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return bytes;
  }
  /// Receives until the bytes contain `end`, or until the stream has ended.
  std::string receive_until(std::string_view end) const {
    std::string all;
    while (all.find(end) == all.npos) {
      const std::string more = receive();
      if (more.empty()) break;
      all += more;
    }
    return all;
  }
  /// Receives until the stream has ended.
  std::string receive_all() const {
    std::string all;
    for (std::string more = receive(); !more.empty(); more = receive()) all += more;
    return all;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  explicit RawSocket(int fd) : fd_(fd) {
    const timeval limit{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  int fd_;
};

}  // namespace tern::test
