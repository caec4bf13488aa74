// The peer of a whole server or client. It can send anything, and it checks all bytes from tern
// with a strict reader (tests/support/wire.h).
#pragma once

#include "support/fake_kernel.h"
#include "support/input.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::fuzz {

class FarEnd {
 public:
  /// `tern` is the role of the side under test.
  FarEnd(Role tern, std::shared_ptr<Stream> to)
      : stream(std::move(to)),
        us_(tern == Role::server ? Role::client : Role::server),
        reader_(tern) {}

  std::shared_ptr<Stream> stream;

  void send(std::string_view bytes) {
    if (!stream->fin_arrived && !stream->broken) stream->arrived += bytes;
  }
  void send(const test::Frame& frame) { send(test::wire(us_, frame)); }
  /// Sends one of five things: any bytes, any frame, valid data, valid text, a Close. `what`
  /// chooses; the input supplies the content.
  void send_something(unsigned what, Input& input) {
    switch (what) {
      case 0:
        return send(input.take_bytes());
      case 1: {
        const unsigned byte_0 = input.take();
        return send({byte_0 & 15, input.take_bytes(), (byte_0 & 0x80) != 0, byte_0 >> 4 & 7});
      }
      case 2: {
        const unsigned opcode = 1 + input.take() % 2;
        return send({opcode, std::string(input.take() * 9u, 'd')});
      }
      case 3:
        return send(test::text(input.take_bytes()));
      default:
        return send(test::closing(static_cast<int>(1000 + input.take())));
    }
  }
  /// Does one of seven things that a peer does to its socket or a network does to both.
  void treat_socket(unsigned what, Input& input) {
    switch (what) {
      case 0:
        stream->fin_arrived = true;
        return;
      case 1:
        return stream->reset(input.take() % 2 == 0 ? ECONNRESET : ETIMEDOUT);
      case 2:
        stream->room = input.take() * 16u;
        return;
      case 3:
        stream->room = Stream::all;
        return;
      case 4:
        stream->write_piece = 1 + input.take();
        return;
      case 5:
        stream->read_piece = 1 + input.take();
        return;
      default:
        stream->read_piece = stream->write_piece = Stream::all;
        return;
    }
  }

  /// Reads the bytes that tern wrote since the last call. Aborts if they break RFC 6455.
  void look() {
    const std::string_view news = std::string_view(stream->sent).substr(seen_);
    seen_ = stream->sent.size();
    if (framing_) {
      reader_.feed(news);
    } else {
      head_ += news;
      read_head();
    }
    if (!reader_.fault().empty()) {
      std::fprintf(stderr, "far end: wrote %s\n", reader_.fault().c_str());
      std::abort();
    }
    // A FIN inside a frame is correct if this peer took no more bytes before it.
    demand(!stream->fin_sent || reader_.at_boundary() || stream->room_at_fin == 0,
           "FIN inside a frame");
  }
  bool framing() const { return framing_; }
  const std::string& head() const { return head_; }
  const test::FrameReader& reader() const { return reader_; }

  /// Returns the data messages that tern has read. Its input is a head of `head` bytes, then
  /// frames.
  std::vector<std::string> messages_behind(std::size_t head) const {
    test::FrameReader reference(us_);
    if (stream->received.size() > head) {
      reference.feed(std::string_view(stream->received).substr(head));
    }
    std::vector<std::string> messages;
    std::string message;
    for (const test::Frame& frame : reference.frames()) {
      if (frame.opcode >= 8) continue;
      message += frame.payload;
      if (frame.fin) messages.push_back(std::exchange(message, {}));
    }
    return messages;
  }

 private:
  // Frames follow the first head of a client, which is its request, and the last head of a server,
  // which is its 101.
  void read_head() {
    const bool client = us_ == Role::server;
    demand(head_.size() < 9 || head_.starts_with(client ? "GET /" : "HTTP/1.1 "),
           "tern wrote something that is not HTTP");
    const std::size_t start = client ? 0 : head_.find("HTTP/1.1 101 ");
    const std::size_t end = start == head_.npos ? start : head_.find("\r\n\r\n", start);
    if (end == head_.npos) return;
    framing_ = true;
    reader_.feed(std::string_view(head_).substr(end + 4));
    head_.resize(end + 4);
  }

  Role us_;
  test::FrameReader reader_;
  std::size_t seen_ = 0;
  bool framing_ = false;
  std::string head_{};
};

/// Checks that `delivered` holds the first messages of `sent`, in order.
inline void demand_prefix(const std::vector<std::string>& delivered,
                          const std::vector<std::string>& sent) {
  demand(delivered.size() <= sent.size(), "delivered more than was sent");
  for (std::size_t i = 0; i < delivered.size(); ++i) {
    demand(delivered[i] == sent[i], "delivered another message than was sent");
  }
}

/// Makes the next call of a kind fail with an error that this call can return. One byte of the
/// input chooses the call, one the error.
inline void inject_fault(Kernel& kernel, Input& input) {
  static constexpr int of_any[] = {EINTR, ENOBUFS, ENOMEM};
  static constexpr int of_accept[] = {EINTR, ECONNABORTED, EMFILE, ENFILE, EPROTO, ENOMEM, EINVAL};
  static constexpr int of_transfer[] = {EINTR, EAGAIN, ECONNRESET, EPIPE, ETIMEDOUT, ENOBUFS};
  const unsigned what = input.take();
  const unsigned which = input.take();
  switch (what % 8) {
    case 0:
      return kernel.fail_next(Call::accept, of_accept[which % std::size(of_accept)]);
    case 1:
      return kernel.fail_next(Call::receive, of_transfer[which % std::size(of_transfer)]);
    case 2:
      return kernel.fail_next(Call::send, of_transfer[which % std::size(of_transfer)]);
    case 3:
      return kernel.fail_next(Call::epoll_ctl, which % 2 == 0 ? ENOMEM : ENOSPC);
    case 4:
      return kernel.fail_next(Call::epoll_wait, EINTR);
    case 5:
      return kernel.fail_next(Call::event_io, EINTR);
    case 6:
      return kernel.fail_next(which % 2 == 0 ? Call::name : Call::option, of_any[which % 3]);
    default:
      return kernel.fail_next(Call::poll, which % 2 == 0 ? EINTR : ENOMEM);
  }
}

}  // namespace tern::fuzz
