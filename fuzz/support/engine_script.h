// Runs a script against one engine. The script comes from the input of a fuzzer and holds the
// actions of a peer, an application, a socket and a clock. The driver
// (tests/support/engine_peer.h) aborts on output that breaks RFC 6455, on a second closed event and
// on deadlines that do not move. This class adds a reference receiver: the engine must deliver the
// messages that the reference finds in the same bytes.
#pragma once

#include "support/engine_peer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern::fuzz {

using test::Peer;
using test::require;

class Script {
 public:
  /// With `deflate`, both sides agreed on compression and there is no handshake.
  Script(Role role, const std::uint8_t* data, std::size_t size, bool deflate = false)
      : rest_(reinterpret_cast<const char*>(data), size),
        handshake_(take() % 4 != 0 && !deflate),
        agreement_(deflate ? take_agreement() : Agreement()),
        peer_(role, options(), handshake_ ? test::Start::handshake : test::Start::established,
              {.host = "example.org", .target = "/echo"}, agreement_),
        reference_(peer_.them),
        opened_(!handshake_) {
    if (deflate) {
      reference_.take_compressed(15, agreement_.deflate->peer_takeover);
    }
    peer_.on_event = [this](const Event& event) { hear(event); };
  }

  void run() {
    while (!rest_.empty()) {
      step();
      check_bounds();
    }
    check_delivery();
    // The engine must always end if the peer leaves, the socket takes all bytes and time passes.
    peer_.writable = peer_.write_step = Peer::all;
    peer_.receive_eof();
    if (!peer_.saw_closed() && peer_.engine().request().method() != "") peer_.engine().accept();
    peer_.at_now().reading(true);
    peer_.wait(std::chrono::minutes(10));
    require(peer_.dead() && peer_.saw_closed(), "the engine does not end");
    require(peer_.engine().output().empty(), "output after the end");
    require(!peer_.engine().next(), "an event after the end");
    require(!opened_ || peer_.ending().opened, "the ending does not say that it was open");
    require(!peer_.ending().clean || peer_.reader().closed(),
            "a clean end without our Close frame");
  }

 private:
  static constexpr std::size_t max_message = 2000;
  static constexpr std::size_t max_queued = 3000;

  unsigned take() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string take_bytes() {
    const std::size_t size = std::min<std::size_t>(take(), rest_.size());
    const std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return bytes;
  }

  Agreement take_agreement() {
    const unsigned flags = take();
    const unsigned windows = take();
    DeflateAgreement agreed{.window_bits = static_cast<std::uint8_t>(9 + windows % 7),
                            .peer_window_bits = 15,
                            .takeover = flags % 2 != 0,
                            .peer_takeover = flags / 2 % 2 != 0};
    // A smaller window needs a context that is not kept: otherwise the engine cannot always detect
    // a peer that breaks the agreement.
    if (!agreed.peer_takeover) agreed.peer_window_bits = 9;
    return {.deflate = agreed};
  }

  EngineOptions options() {
    const unsigned flags = take();
    return {.limits = {.max_message_bytes = max_message,
                       .max_fragments = 8,
                       .max_head_bytes = 2000,
                       .max_request_line_bytes = 200,
                       .max_header_fields = 20,
                       .max_queued_bytes = max_queued,
                       .high_water_bytes = 1000,
                       .low_water_bytes = 100,
                       .overflow = flags % 2 == 0 ? Overflow::close : Overflow::reject},
            .deflate = Deflate{.memory_level = 1, .min_bytes = 50}};
  }

  void receive(const std::string& bytes) {
    if (opened_ || !handshake_) {
      if (!ended_) reference_.feed(bytes);
    } else {
      early_ += bytes;  // the reference gets the bytes behind the head when the engine opens
    }
    peer_.receive(bytes, 1 + piece_);
  }

  // Sends compressed data in one frame, or in two with a ping between them. With context takeover
  // the data may refer to all compressed data before it.
  void receive_compressed(const std::string& data, unsigned byte) {
    if (!agreement_.deflate->peer_takeover) sender_.reset();
    const std::string payload = byte % 8 >= 6 ? sender_.final_message(data) : sender_.message(data);
    test::Frame first = test::compressed({1 + byte % 2, payload});
    if (byte % 16 < 8) return receive(test::wire(peer_.them, first));
    const std::size_t half = payload.size() / 2;
    first.payload.resize(half);
    first.fin = false;
    receive(test::wire(peer_.them, {first, test::ping("p"), test::more(payload.substr(half))}));
  }

  // Receives one of five things: any bytes, any frame, valid data, a handshake, a page request.
  void step_in(unsigned what) {
    switch (what) {
      case 0:
        return receive(take_bytes());
      case 1: {
        const unsigned byte_0 = take();
        const test::Frame frame{byte_0 & 15, take_bytes(), (byte_0 & 0x80) != 0, byte_0 >> 4 & 7};
        return receive(test::wire(peer_.them, frame));
      }
      case 2: {  // well-formed data of many sizes
        const unsigned byte = take();
        const std::size_t size = take() * 9u;
        const std::string data(size, 'd');
        if (agreement_.deflate && byte % 4 >= 2) return receive_compressed(data, byte);
        return receive(test::wire(peer_.them, {1 + byte % 2, data}));
      }
      case 3:
        return receive(peer_.us == Role::server ? test::upgrade_request()
                                                : test::upgrade_answer(peer_.head()));
      default:
        return receive(test::page_request());
    }
  }

  void step() {
    const unsigned what = take() % 20;
    Engine& engine = peer_.at_now();
    switch (what) {
      default:
        return step_in(what);
      case 5:
        engine.send(std::string(take() * 12u, 's'));
        break;
      case 6:
        engine.send(SharedMessage(std::string(take() * 24u, 'S')));
        break;
      case 7: {
        const std::string payload = take_bytes();
        engine.ping(std::as_bytes(std::span(payload)));
        break;
      }
      case 8:
        quiet_ = true;
        engine.close(static_cast<CloseCode>(take() * 256 + take()), take_bytes());
        break;
      case 9:
        return peer_.wait(std::chrono::milliseconds(100) * take());
      case 10:
        peer_.writable = take() * 16u;
        break;
      case 11:
        peer_.writable = Peer::all;
        break;
      case 12:
        peer_.write_step = 1 + take();
        break;
      case 13:
        peer_.stash_every = take() % 4;
        break;
      case 14:
        engine.reading(take() % 2 != 0);
        break;
      case 15:
        piece_ = take();
        break;
      case 16:
        peer_.accepts = take() % 2 != 0;
        engine.accept({.protocols = {"chat"}});
        break;
      case 17:
        engine.respond(Response::status(take() % 2 == 0 ? 200 : 404));
        break;
      case 18:
        peer_.echo = take() % 2 != 0;
        break;
      case 19:
        quiet_ = true;
        if (take() % 2 == 0) return peer_.receive_eof();
        engine.terminate(Errc::terminated);
        break;
    }
    peer_.turn();
  }

  void hear(const Event& event) {
    switch (event.kind()) {
      case Event::Kind::open:
        require(!opened_, "opened twice");
        opened_ = true;
        if (const auto at = early_.find("\r\n\r\n"); handshake_) open_reference(at);
        break;
      case Event::Kind::closed:
        ended_ = true;
        break;
      case Event::Kind::message:
        require(!quiet_, "a message after close()");
        require(!event.message().is_text() || test::is_utf8(event.message().text()),
                "text that is not UTF-8");
        require(event.message().size() <= max_message, "a message over the limit");
        [[fallthrough]];
      case Event::Kind::ping:
      case Event::Kind::pong:
        heard_.emplace_back(event.message().text());
        break;
      default:
        break;
    }
  }

  // The engine opened with the last head among the early bytes. The end of that head is known only
  // if there is one head.
  void open_reference(std::size_t first_end) {
    if (first_end == early_.npos || early_.find("HTTP/1.1", first_end) != early_.npos) {
      reference_is_lost_ = true;
    } else {
      reference_.feed(std::string_view(early_).substr(first_end + 4));
    }
  }

  void check_bounds() {
    // The queue may hold one message that went into an empty queue, control frames and a Close.
    // Before the connection opens it may also hold HTTP responses.
    const std::size_t most = max_queued + 255 * 24 + (33 + 17) * 131 + 127 + 3 * 1000;
    require(peer_.engine().queued_bytes() <= (opened_ ? most : 100'000),
            "the queue is not bounded");
  }

  // The engine delivers messages, pings and pongs in the order in which they were sent. If it is
  // still open, it has delivered all of them.
  void check_delivery() {
    if (reference_is_lost_) return;
    std::vector<std::string> sent;
    std::string message;
    for (const test::Frame& frame : reference_.frames()) {
      if (frame.opcode == 8) break;
      if (frame.opcode >= 8) {
        sent.push_back(frame.payload);
        continue;
      }
      message += frame.payload;
      if (frame.fin) sent.push_back(std::exchange(message, {}));
    }
    require(heard_.size() <= sent.size(), "delivered more than was sent");
    for (std::size_t i = 0; i < heard_.size(); ++i) {
      require(heard_[i] == sent[i], "delivered another message than was sent");
    }
    if (!peer_.engine().is_open() || peer_.unread() > 0) return;
    require(heard_.size() == sent.size(), "delivered less than was sent");
    require(reference_.fault().empty(),
            "accepted bytes that RFC 6455 forbids:", reference_.fault());
  }

  std::string_view rest_;
  bool handshake_;
  Agreement agreement_;
  test::ZlibSender sender_{9, 6, 1};
  Peer peer_;
  test::FrameReader reference_;
  bool reference_is_lost_ = false;
  bool opened_;
  bool ended_ = false;
  bool quiet_ = false;  // the engine must deliver no more messages
  std::size_t piece_ = 1000;
  std::string early_{};
  std::vector<std::string> heard_{};
};

}  // namespace tern::fuzz
