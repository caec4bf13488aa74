// A WebSocket client without tern's code, on a blocking loopback socket. It sends what a test
// wants, also invalid bytes, and checks every byte that a server sends. Each wait ends after a
// generous deadline.
#pragma once

#include "support/upgrade_text.h"
#include "support/wire.h"

#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {

class RawClient {
 public:
  static constexpr int patience_ms = 60'000;

  /// Connects to 127.0.0.1. `receive_buffer`: SO_RCVBUF, for a client that reads slowly.
  explicit RawClient(std::uint16_t port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  /// Takes a connected socket and owns it.
  struct Connected {
    int fd;
  };
  explicit RawClient(Connected socket) noexcept : fd_(socket.fd), connected_(true) {}
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        in_(std::move(other.in_)),
        head_(std::move(other.head_)),
        reader_(std::move(other.reader_)),
        given_(other.given_) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() {
    if (fd_ >= 0) ::close(fd_);
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }

  /// Sends all bytes; returns false if the server has ended TCP.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  bool send(const Frame& frame) { return send(wire(Role::client, frame)); }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(fd_, -1));
  }

  /// Sends a request and waits for the head of the answer.
  std::string ask(std::string_view request) {
    send(request);
    return head();
  }
  /// The head of the next answer, with its blank line; the bytes so far if TCP ends before.
  std::string head() {
    std::size_t end;
    while ((end = in_.find("\r\n\r\n")) == in_.npos) {
      if (!fill()) return std::exchange(in_, {});
    }
    std::string head = in_.substr(0, end + 4);
    in_.erase(0, end + 4);
    return head;
  }
  std::string body(std::size_t size) {
    while (in_.size() < size && fill()) {
    }
    std::string body = in_.substr(0, size);
    in_.erase(0, size);
    return body;
  }
  /// Upgrades the connection; frames follow.
  bool upgrade(std::string_view target = "/echo", std::string_view more = {}) {
    head_ = ask(upgrade_request(more, target));
    return head_.starts_with("HTTP/1.1 101 ");
  }
  const std::string& answer_head() const { return head_; }

  /// The next frame; nothing if TCP has ended, or if a frame was wrong (see fault()).
  std::optional<Frame> frame() {
    for (;;) {
      reader_.feed(std::exchange(in_, {}));
      if (given_ < reader_.frames().size()) {
        Frame next = reader_.frames()[given_++];
        if (given_ == reader_.frames().size()) {
          reader_.forget();
          given_ = 0;
        }
        return next;
      }
      if (!reader_.fault().empty() || !fill()) return {};
    }
  }
  /// The next frame as text, e.g. "text hello", "close 1000"; "end" if TCP has ended.
  std::string next() {
    const auto next = frame();
    return next ? to_string(*next) : reader_.fault().empty() ? "end" : reader_.fault();
  }
  /// Whether the server ends TCP (by FIN or RST) and sends nothing before.
  bool ends() { return in_.empty() && !fill(); }
  /// errno of the last read that failed; 0 after a FIN.
  int read_error() const { return read_error_; }

 private:
  bool fill() {
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, patience_ms) != 1) {
      ADD_FAILURE() << "the server sent nothing for " << patience_ms << " ms";
      return false;
    }
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    read_error_ = got < 0 ? errno : 0;
    if (got <= 0) return false;
    in_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int fd_ = -1;
  bool connected_ = false;
  int read_error_ = 0;
  std::string in_{};
  std::string head_{};
  FrameReader reader_{Role::server};
  std::size_t given_ = 0;
};

}  // namespace tern::test
