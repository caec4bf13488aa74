// The work that no server can avoid in a fan-out: one send for each subscriber. It decodes and
// unmasks the first message of all connections. Afterwards it only counts bytes: for as many bytes
// as a message has, it sends the frame of that first message. The frames of one recv go to each
// subscriber with one send, in the order in which the connections came.
//
// When a socket takes no more bytes, the server waits for it. The load always reads, so that
// happens seldom.
#include "throughput/raw_fanout.h"

#include "frame/header.h"
#include "simd/mask.h"
#include "throughput/frames.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <poll.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t receive_buffer_bytes = std::size_t{64} << 10;

/// State that all connections share.
struct Shared {
  std::vector<std::byte> buffer = std::vector<std::byte>(receive_buffer_bytes);
  std::vector<int> sockets{};       // of all connections
  std::vector<std::byte> first{};   // bytes of the first message, until it is complete
  std::size_t request_bytes = 0;    // of a message with its header; 0: not known yet
  std::size_t frame_bytes = 0;      // the same for subscribers
  std::vector<std::byte> frames{};  // as many as one recv may ask for

  // Learns the length of a message and makes its frames. False: no such message can come.
  bool learn(std::span<const std::byte> bytes) {
    first.insert(first.end(), bytes.begin(), bytes.end());
    frame::Header header;
    const frame::Decoded decoded = frame::decode_header(first, frame::Masking::masked, header);
    if (decoded.failed() || (decoded.size > 0 && frame::is_control(header.opcode))) return false;
    const std::size_t length = static_cast<std::size_t>(header.length);
    if (decoded.size == 0 || first.size() < decoded.size + length) return true;
    const std::span<std::byte> payload = std::span(first).subspan(decoded.size, length);
    simd::mask(payload, header.key);
    const std::string_view text(reinterpret_cast<const char*>(payload.data()), length);
    const auto frame = make_frame(header.opcode, text, frame::Masking::unmasked);
    request_bytes = decoded.size + length;
    frame_bytes = frame.size();
    const std::size_t most = receive_buffer_bytes / request_bytes + 1;
    for (std::size_t i = 0; i < most; ++i) frames.insert(frames.end(), frame.begin(), frame.end());
    return true;
  }
};

// False: the connection is over, which its own event will report.
bool send_waiting_for_room(int socket, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      pollfd room{.fd = socket, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
    } else {
      return false;
    }
  }
  return true;
}

class FanConnection final : public RawConnection {
 public:
  FanConnection(net::Fd socket, std::shared_ptr<Shared> shared)
      : RawConnection(std::move(socket)), shared_(std::move(shared)) {
    shared_->sockets.push_back(this->socket());
  }
  ~FanConnection() override { std::erase(shared_->sockets, socket()); }
  FanConnection(const FanConnection&) = delete;
  FanConnection& operator=(const FanConnection&) = delete;

  std::uint32_t on_ready(std::uint32_t) override {
    Shared& shared = *shared_;
    const ssize_t got = ::recv(socket(), shared.buffer.data(), shared.buffer.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN ? std::uint32_t{EPOLLIN} : 0;
    const auto size = static_cast<std::size_t>(got);
    if (shared.request_bytes == 0 && !shared.learn(std::span(shared.buffer).first(size))) return 0;
    counted_ += size;
    if (shared.request_bytes == 0) return EPOLLIN;
    const std::size_t messages = counted_ / shared.request_bytes;
    counted_ -= messages * shared.request_bytes;
    if (messages > 0) send_to_others(messages * shared.frame_bytes);
    return EPOLLIN;
  }

 private:
  void send_to_others(std::size_t bytes) const {
    const std::span<const std::byte> frames = std::span(shared_->frames).first(bytes);
    for (const int other : shared_->sockets) {
      if (other != socket()) send_waiting_for_room(other, frames);
    }
  }

  std::shared_ptr<Shared> shared_;
  std::size_t counted_ = 0;  // of the message in progress
};

}  // namespace

MakeConnection raw_fanout() {
  auto shared = std::make_shared<Shared>();
  return [shared](net::Fd socket) {
    return std::make_unique<FanConnection>(std::move(socket), shared);
  };
}

}  // namespace tern::bench
