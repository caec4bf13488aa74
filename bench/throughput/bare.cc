// The work that no server can avoid if it reads its messages: it decodes each header, unmasks each
// payload, and sends all echoes of a turn with one call. It writes no payload twice: the header of
// an echo, which is shorter because it has no key, replaces the peer's header.
//
//   read   [ header | key ][ payload ]
//   sent         [ header ][ payload ]     a large payload stays in place and is a piece of its own
//        [ header ][ payload ]             a small payload moves behind the echo before it
//
// A connection has a buffer only in its turn, so that one warm buffer serves all connections. It
// copies the part of an incomplete frame to the beginning of its next buffer. It keeps its buffer
// while that part is large, or while the buffer contains an echo that the socket did not take.
#include "throughput/bare.h"

#include "frame/header.h"
#include "simd/mask.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <span>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

using Buffer = std::vector<std::byte>;

constexpr std::size_t buffer_bytes = std::size_t{512} << 10;  // grows to hold a frame
// A longer rest stays in its buffer. Measured with 100 connections and 16 messages of 16 KiB in
// flight on each: a message took 7.6 us when all connections kept their buffers, and 6.3 us with
// this limit.
constexpr std::size_t most_copied = std::size_t{64} << 10;
// To move more bytes costs more than to send one piece more.
constexpr std::size_t most_moved = std::size_t{8} << 10;

/// Buffers that no connection uses at the moment.
class Buffers {
 public:
  Buffer take() {
    if (free_.empty()) return Buffer(buffer_bytes);
    Buffer warmest = std::move(free_.back());
    free_.pop_back();
    return warmest;
  }
  void give_back(Buffer buffer) { free_.push_back(std::move(buffer)); }

 private:
  std::vector<Buffer> free_{};
};

class BareConnection final : public RawConnection {
 public:
  BareConnection(net::Fd socket, Buffers& buffers)
      : RawConnection(std::move(socket)), buffers_(buffers) {}

  // Reads nothing while an echo waits, because its bytes are in the buffer.
  std::uint32_t on_ready(std::uint32_t) override {
    if (pieces_.empty() && !receive()) return 0;
    if (!send()) return 0;
    if (!pieces_.empty()) return EPOLLOUT;
    keep_rest();
    return EPOLLIN;
  }

 private:
  // Makes one recv. If a frame is longer than the buffer, it reads until the frame is complete or
  // the socket is empty. Otherwise each connection would keep a part of a frame in a buffer of its
  // own. False: the connection is over. The same for echo() and send().
  bool receive() {
    if (buffer_.empty()) {
      buffer_ = buffers_.take();
      std::ranges::copy(rest_, buffer_.begin());
    }
    do {
      if (frame_bytes_ > buffer_.size()) buffer_.resize(frame_bytes_);
      const ssize_t got = ::recv(socket(), buffer_.data() + end_, buffer_.size() - end_, 0);
      if (got <= 0) return got < 0 && errno == EAGAIN;
      end_ += static_cast<std::size_t>(got);
      if (!echo()) return false;
    } while (pieces_.empty() && frame_bytes_ > buffer_bytes);
    return true;
  }

  // Makes echoes of all whole frames.
  bool echo() {
    std::byte* const bytes = buffer_.data();
    std::size_t echoed = 0;  // where the last echo ends
    while (begin_ < end_) {
      frame_bytes_ = 0;
      frame::Header header;
      const frame::Decoded decoded = frame::decode_header(
          std::span(buffer_).subspan(begin_, end_ - begin_), frame::Masking::masked, header);
      if (decoded.failed() || (decoded.size > 0 && frame::is_control(header.opcode))) return false;
      if (decoded.size == 0) return true;
      const std::size_t payload = begin_ + decoded.size;
      const auto length = static_cast<std::size_t>(header.length);
      const std::size_t here = std::min(length, end_ - payload);
      frame_bytes_ = decoded.size + length;
      const std::size_t room = frame::header_size(length, frame::Masking::unmasked);
      std::size_t to = payload;
      if (length <= most_moved) {
        if (here < length) return true;
        to = echoed + room;
        simd::mask_copy(bytes + to, {bytes + payload, length}, header.key);
      } else {
        // Unmasks the part that has arrived, because it is in the cache now.
        simd::mask({bytes + payload + unmasked_, here - unmasked_}, header.key,
                   static_cast<unsigned>(unmasked_ % 4));
        unmasked_ = here;
        if (here < length) return true;
        unmasked_ = 0;
      }
      frame::encode_header(bytes + to - room, header, frame::Masking::unmasked);
      add_piece(bytes + to - room, room + length);
      echoed = to + length;
      begin_ = payload + length;
    }
    return true;
  }

  void add_piece(std::byte* begin, std::size_t size) {
    if (!pieces_.empty()) {
      iovec& last = pieces_.back();
      if (static_cast<std::byte*>(last.iov_base) + last.iov_len == begin) {
        last.iov_len += size;
        return;
      }
    }
    pieces_.push_back({begin, size});
  }

  // Sends the pieces until the socket takes no more.
  bool send() {
    while (!pieces_.empty()) {
      const std::span<iovec> unsent = std::span(pieces_).subspan(sent_pieces_);
      const std::span<iovec> given = unsent.first(std::min<std::size_t>(unsent.size(), IOV_MAX));
      const ssize_t sent = send_pieces(given);
      if (sent < 0) return errno == EAGAIN;
      const std::size_t whole = take_off(given, static_cast<std::size_t>(sent));
      sent_pieces_ += whole;
      if (whole < given.size()) return true;  // the next call would only return EAGAIN
      if (whole < unsent.size()) continue;
      pieces_.clear();
      sent_pieces_ = 0;
    }
    return true;
  }

  ssize_t send_pieces(std::span<iovec> pieces) const {
    if (pieces.size() == 1) {
      return ::send(socket(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    return ::sendmsg(socket(), &message, MSG_NOSIGNAL);
  }

  // Returns the number of pieces that lie whole in the first `size` bytes, and removes the rest of
  // `size` from the next piece.
  static std::size_t take_off(std::span<iovec> pieces, std::size_t size) noexcept {
    std::size_t whole = 0;
    while (whole < pieces.size() && pieces[whole].iov_len <= size) size -= pieces[whole++].iov_len;
    if (size > 0) {
      iovec& part = pieces[whole];
      part.iov_base = static_cast<std::byte*>(part.iov_base) + size;
      part.iov_len -= size;
    }
    return whole;
  }

  // Moves the part of an incomplete frame to the front of this buffer or of the next one.
  void keep_rest() {
    const std::span<std::byte> rest = std::span(buffer_).subspan(begin_, end_ - begin_);
    if (rest.size() <= most_copied) {
      rest_.assign(rest.begin(), rest.end());
      buffers_.give_back(std::exchange(buffer_, {}));
    } else if (begin_ > 0) {
      std::memmove(buffer_.data(), rest.data(), rest.size());
    }
    end_ = rest.size();
    begin_ = 0;
  }

  Buffers& buffers_;
  Buffer buffer_{};
  std::vector<std::byte> rest_{};  // the beginning of the next buffer
  std::size_t begin_ = 0;          // of the incomplete frame
  std::size_t end_ = 0;            // of the bytes read
  std::size_t frame_bytes_ = 0;    // of that frame; 0: its header is not here yet
  std::size_t unmasked_ = 0;       // bytes of the payload of the large incomplete frame
  std::vector<iovec> pieces_{};    // parts of the buffer to send
  std::size_t sent_pieces_ = 0;
};

}  // namespace

MakeConnection bare_echo() {
  auto buffers = std::make_shared<Buffers>();
  return [buffers](net::Fd socket) {
    return std::make_unique<BareConnection>(std::move(socket), *buffers);
  };
}

}  // namespace tern::bench
