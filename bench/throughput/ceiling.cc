// The least work of an echo server on epoll: one recv and one send for each readable event. It
// decodes the first header of a connection to learn the length of its messages. Afterwards it only
// counts bytes: for as many bytes as a message has, it sends one prepared frame of the right size.
// The frame contains zeros, because the server neither unmasks nor echoes content.
#include "throughput/ceiling.h"

#include "throughput/bare.h"
#include "throughput/frames.h"
#include "throughput/raw_fanout.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t receive_buffer_bytes = std::size_t{512} << 10;

/// State that all connections share.
struct Shared {
  std::vector<std::byte> buffer = std::vector<std::byte>(receive_buffer_bytes);
  // One for all connections, as long as their messages have the same header.
  std::shared_ptr<const FrameTrain> replies{};
  frame::Header reply{};  // the header of `replies`
};

class CountedConnection final : public RawConnection {
 public:
  /// `message_size` as in CeilingOptions.
  CountedConnection(net::Fd socket, Shared& shared, std::size_t message_size)
      : RawConnection(std::move(socket)), shared_(shared) {
    if (message_size == 0) return;
    const frame::Header header{
        .length = message_size, .opcode = frame::Opcode::binary, .fin = true};
    set_size(header, frame::header_size(message_size, frame::Masking::masked));
  }

  std::uint32_t on_ready(std::uint32_t events) override {
    if ((events & EPOLLIN) != 0 && !receive()) return 0;
    if (sender_.owed() == 0) return EPOLLIN;
    if (!sender_.send(socket(), *replies_)) return 0;
    return sender_.owed() > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
  }

 private:
  // False: the connection is over. The same for learn().
  bool receive() {
    const ssize_t got = ::recv(socket(), shared_.buffer.data(), shared_.buffer.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    const auto size = static_cast<std::size_t>(got);
    if (request_frame_bytes_ == 0 && !learn(std::span(shared_.buffer).first(size))) return false;
    counted_ += size;
    if (request_frame_bytes_ == 0) return true;
    const std::size_t messages = counted_ / request_frame_bytes_;
    counted_ -= messages * request_frame_bytes_;
    sender_.owe(messages, *replies_);
    return true;
  }

  bool learn(std::span<const std::byte> bytes) {
    const std::size_t more = std::min(bytes.size(), frame::max_header_bytes - first_header_.size());
    first_header_.insert(first_header_.end(), bytes.begin(),
                         bytes.begin() + static_cast<std::ptrdiff_t>(more));
    frame::Header header;
    const frame::Decoded decoded =
        frame::decode_header(first_header_, frame::Masking::masked, header);
    if (decoded.failed() || (decoded.size > 0 && frame::is_control(header.opcode))) return false;
    if (decoded.size > 0) set_size(header, decoded.size);
    return true;
  }

  void set_size(const frame::Header& header, std::size_t header_bytes) {
    request_frame_bytes_ = header_bytes + static_cast<std::size_t>(header.length);
    const frame::Header& known = shared_.reply;
    if (!shared_.replies || header.length != known.length || header.opcode != known.opcode) {
      const std::string zeros(static_cast<std::size_t>(header.length), '\0');
      const std::vector frames(1, make_frame(header.opcode, zeros, frame::Masking::unmasked));
      // One recv may return a buffer full of messages and the end of one more.
      const std::size_t most = receive_buffer_bytes + frames.front().size();
      shared_.replies = std::make_shared<const FrameTrain>(frames, most);
      shared_.reply = header;
    }
    replies_ = shared_.replies;
  }

  Shared& shared_;
  std::vector<std::byte> first_header_{};  // of the first frame, until it is complete
  std::shared_ptr<const FrameTrain> replies_{};
  std::size_t request_frame_bytes_ = 0;
  std::size_t counted_ = 0;  // of the request frame in progress
  TrainSender sender_{};
};

MakeConnection counting_echo(std::size_t message_size) {
  auto shared = std::make_shared<Shared>();
  return [shared, message_size](net::Fd socket) {
    return std::make_unique<CountedConnection>(std::move(socket), *shared, message_size);
  };
}

}  // namespace

int run_ceiling(const CeilingOptions& options) {
  return RawServer(options.port, options.waiting,
                   options.fanout ? raw_fanout()
                   : options.bare ? bare_echo()
                                  : counting_echo(options.message_size))
      .run();
}

}  // namespace tern::bench
