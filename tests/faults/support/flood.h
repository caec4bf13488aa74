// Peers that send legal traffic without end and never wait: the bytes that they send, and a sender
// for plain connections and TLS.
#pragma once

#include "faults/support/tls_attacked.h"
#include "support/raw_client.h"
#include "support/wire.h"
#include "support/zlib_peer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace tern::test {

enum class Over : std::uint8_t { tcp, tls };

inline std::string repeat(std::string_view bytes, std::size_t times) {
  std::string all;
  all.reserve(bytes.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += bytes;
  return all;
}

/// A thousand requests for a page. A client may send them without waiting (RFC 9112 §9.3.2).
inline std::string page_requests(std::string_view target) {
  return repeat("GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 1'000);
}

/// Messages of six bytes each.
inline std::string tiny_frames() { return repeat(wire(Role::client, text("")), 20'000); }

/// Messages of 1 MiB, which is the limit.
inline std::string large_messages() {
  return wire(Role::client, binary(std::string(std::size_t{1} << 20, 'm')));
}

/// Frames of 1 KiB that inflate to messages of 1 MiB, which is the limit.
inline std::string inflating_frames() {
  const std::string zeros(std::size_t{1} << 20, '\0');
  return repeat(wire(Role::client, compressed(binary(ZlibSender().message(zeros)))), 200);
}

/// Messages of 64 KiB on the wire that inflate to nothing: 52 000 blocks of ten bits without a
/// literal (RFC 1951 §3.2.6). Four blocks take five bytes.
inline std::string empty_blocks() {
  const std::string blocks = repeat(std::string_view("\x02\x08\x20\x80\x00", 5), 13'000);
  return repeat(wire(Role::client, compressed(binary(blocks + '\0'))), 4);
}

/// The header field of an upgrade request that offers compression.
constexpr std::string_view offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Sends the same bytes again and again through the client, and waits for nothing.
template <class Client>
class Flood {
 public:
  /// `bytes` must outlive this object.
  Flood(Client& client, std::string_view bytes) : client_(client), bytes_(bytes) {
    const int small = 64 << 10;
    ::setsockopt(client_.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }

  /// Sends as many bytes as the socket takes now, at most one megabyte.
  void push() {
    for (std::size_t pushed = 0; pushed < (1 << 20);) {
      if (rest_.empty()) rest_ = next_piece();
      const ssize_t put =
          ::send(client_.fd(), rest_.data(), rest_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put <= 0) return;
      rest_.remove_prefix(static_cast<std::size_t>(put));
      pushed += static_cast<std::size_t>(put);
      sent_ += static_cast<std::size_t>(put);
    }
  }
  /// Reads and discards the bytes that the server has sent.
  void drain() const {
    while (::recv(client_.fd(), nullptr, 1 << 20, MSG_TRUNC | MSG_DONTWAIT) > 0) {
    }
  }
  /// The number of bytes that the socket has taken.
  std::size_t sent() const { return sent_; }

 private:
  std::string_view next_piece() {
    const std::string_view piece = bytes_.substr(at_, 64 << 10);
    at_ = (at_ + piece.size()) % bytes_.size();
    if constexpr (requires { client_.seal(piece); }) {
      return sealed_ = client_.seal(piece);
    } else {
      return piece;
    }
  }

  Client& client_;
  std::string_view bytes_;
  std::size_t at_ = 0;  // the offset of the next piece
  std::string sealed_{};
  std::string_view rest_{};  // of the current piece
  std::size_t sent_ = 0;
};

}  // namespace tern::test
