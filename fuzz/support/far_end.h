// The peer of a whole server or client: what it can put on the wire, and the strict reader of all
// that came back (tests/support/wire.h).
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
  /// `tern` is the role of the other side, which is under test.
  FarEnd(Role tern, std::shared_ptr<Stream> to)
      : stream(std::move(to)),
        us_(tern == Role::server ? Role::client : Role::server),
        reader_(tern) {}

  std::shared_ptr<Stream> stream;

  void send(std::string_view octets) {
    if (!stream->fin_arrived && !stream->broken) stream->arrived += octets;
  }
  void send(const test::Frame& frame) { send(test::wire(us_, frame)); }
  /// Octets, frames of any kind, good data, a Close: one of five things, as the input says.
  void send_something(unsigned what, Input& input) {
    switch (what) {
      case 0:
        return send(input.take_octets());
      case 1: {
        const unsigned byte_0 = input.take();
        return send({byte_0 & 15, input.take_octets(), (byte_0 & 0x80) != 0, byte_0 >> 4 & 7});
      }
      case 2: {
        const unsigned opcode = 1 + input.take() % 2;
        return send({opcode, std::string(input.take() * 9u, 'd')});
      }
      case 3:
        return send(test::text(input.take_octets()));
      default:
        return send(test::closing(static_cast<int>(1000 + input.take())));
    }
  }
  /// What a peer does to its socket, and a network to both: one of seven things.
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

  /// Reads what tern wrote since the last look; aborts when RFC 6455 forbids it.
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
    // Unless we took no octet until tern gave up.
    demand(!stream->fin_sent || reader_.at_boundary() || stream->room_at_fin == 0,
           "FIN inside a frame");
  }
  bool framing() const { return framing_; }
  const std::string& head() const { return head_; }
  const test::FrameReader& reader() const { return reader_; }

  /// The data messages that tern has read, if its input was `head` and then frames.
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
  // A client's first head is its request; a server's last one is its 101.
  void read_head() {
    const bool client = us_ == Role::server;
    demand(head_.size() < 9 || head_.starts_with(client ? "GET /" : "HTTP/1.1 "), "no HTTP");
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

/// What was delivered are the first of `sent`, in order.
inline void demand_prefix(const std::vector<std::string>& delivered,
                          const std::vector<std::string>& sent) {
  demand(delivered.size() <= sent.size(), "delivered more than was sent");
  for (std::size_t i = 0; i < delivered.size(); ++i) {
    demand(delivered[i] == sent[i], "delivered something else");
  }
}

/// Makes the next call of a kind fail as it may: one octet for the call, one for the error.
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
