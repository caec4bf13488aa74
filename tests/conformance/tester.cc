// One connection from the first frame to the end of TCP:
//
//   steps, in rounds ──▶ all events here? ──▶ our Close ──▶ its Close ──▶ the server ends TCP
//        │ ▲                                     ▲               ▲
//        ▼ │                                     │ it closes before us: we answer and read on
//      events, as they come ─────────────────────┴───────────────┘
//
// The subject's bytes go through a reader that is stricter than any peer. A client tester masks
// each frame with a key of its own. The tester never sleeps; it waits only for events.
#include "conformance/tester.h"

#include <algorithm>
#include <random>

namespace tern::conformance {
namespace {

/// Frames as the tester writes them. As a client it uses a random key for each (§5.3).
class Encoder {
 public:
  explicit Encoder(Role subject) : masked_(subject == Role::server) {}

  std::string operator()(const Frame& frame) {
    const std::size_t size = frame.payload.size();
    std::string out(1, static_cast<char>((frame.fin ? 0x80u : 0u) | frame.rsv << 4 | frame.opcode));
    out += test::length_bytes(size, size < 126 ? 7 : size < 65536 ? 16 : 64, masked_);
    if (!masked_) return out += frame.payload;
    std::string key(4, '\0');
    for (char& byte : key) byte = static_cast<char>(random_() & 0xFF);
    out += key;
    const std::size_t start = out.size();
    out += frame.payload;
    for (std::size_t i = 0; i < size; ++i)
      out[start + i] = static_cast<char>(out[start + i] ^ key[i % 4]);
    return out;
  }

 private:
  bool masked_;
  std::mt19937 random_{std::random_device{}()};
};

class Tester {
 public:
  Tester(const Script& script, Link& link)
      : script_(script), link_(link), encode_(link.subject()), reader_(link.subject()) {
    if (link.agreed)
      reader_.take_compressed(link.agreed->peer_window_bits, link.agreed->peer_takeover);
  }

  Observed run() {
    for (std::size_t round = 0; round < script_.rounds && !over(); ++round) {
      for (const Step& step : script_.steps) {
        if (!over()) perform(step);
      }
      await_events(script_.expected.size() * (round + 1));
    }
    if (script_.ending.by == Ending::By::tester && !closes_itself(script_)) close(1000);
    finish();
    return std::move(seen_);
  }

 private:
  // True when nothing more must be sent: the subject has closed, is gone, or wrote a forbidden
  // frame.
  bool over() const { return seen_.subject_closed || ended() || !seen_.fault.empty(); }
  bool ended() const { return seen_.end != Observed::End::none || seen_.gave_up; }

  void perform(const Step& step) {
    switch (step.kind) {
      case Step::Kind::send:
        return send(step);
      case Step::Kind::release:
        write(held_.substr(0, step.count));
        held_.erase(0, step.count);
        return;
      case Step::Kind::await:
        return await_events(step.count);
      case Step::Kind::still_open:
        if (!read(quiet)) seen_.events.push_back("open");
        return;
      case Step::Kind::must_end:
        if (!read(patience)) seen_.events.push_back("open");
        return;
    }
  }

  void send(const Step& step) {
    std::string all;
    for (const Frame& frame : step.frames) {
      seen_.tester_closed = seen_.tester_closed || is_close(frame);
      const std::string bytes = encode_(frame);
      step.writing.kind == Writing::Kind::frame_wise ? write(bytes) : void(all += bytes);
    }
    held_ = all.substr(all.size() - step.count);
    all.resize(all.size() - step.count);
    const std::size_t piece =
        step.writing.kind == Writing::Kind::chopped ? step.writing.chop : all.size();
    for (std::size_t at = 0; at < all.size(); at += piece) {
      write(std::string_view(all).substr(at, piece));
    }
  }

  // Only a read shows that a subject is gone.
  void write(std::string_view bytes) { link_.write(bytes); }

  void close(int code) {
    if (over()) return;
    seen_.tester_closed = true;
    write(encode_(test::closing(code)));
  }

  void await_events(std::size_t count) {
    while (seen_.events.size() < count && !over()) {
      if (!read(patience)) return give_up();
    }
  }

  // Runs to the end of TCP. As the server the tester ends TCP once both Close frames have crossed;
  // as a client it waits for that.
  void finish() {
    const bool server = link_.subject() == Role::client;
    while (!ended() && !(server && seen_.subject_closed && seen_.tester_closed)) {
      if (!seen_.fault.empty()) return link_.finish();
      if (!read(patience)) return give_up();
    }
    if (server && !ended()) {
      seen_.early_fin = !seen_.subject_first && read(glance) && ended();
      link_.finish();
      while (!ended()) {
        if (!read(patience)) return give_up();
      }
    }
    link_.finish();
  }

  void give_up() {
    seen_.gave_up = true;
    link_.finish();
  }

  // True when bytes came.
  bool read(std::chrono::milliseconds limit) {
    const Read got = link_.read(limit);
    switch (got.state) {
      case Read::State::nothing:
        return false;
      case Read::State::bytes:
        reader_.feed(got.bytes);
        for (const Frame& frame : reader_.frames()) take(frame);
        reader_.forget();
        if (seen_.fault.empty()) seen_.fault = reader_.fault();
        return true;
      case Read::State::fin:
        if (!reader_.at_boundary() && seen_.fault.empty()) seen_.fault = "TCP ended in a message";
        seen_.end = Observed::End::fin;
        break;
      case Read::State::reset:
        seen_.end = Observed::End::reset;
        break;
    }
    if (!seen_.tester_closed) seen_.subject_first = true;
    return true;
  }

  void take(const Frame& frame) {
    switch (frame.opcode) {
      case 8:
        seen_.subject_closed = true;
        seen_.subject_first = !seen_.tester_closed;
        if (frame.payload.size() >= 2) {
          seen_.code = static_cast<unsigned char>(frame.payload[0]) * 256 +
                       static_cast<unsigned char>(frame.payload[1]);
        }
        if (!seen_.tester_closed) {
          seen_.tester_closed = true;
          write(encode_(frame));
        }
        return;
      case 9:
        // Pings of the subject are no events, and are not answered after our Close (§5.5.1).
        if (!seen_.tester_closed) write(encode_(test::pong(frame.payload)));
        return;
      case 10:
        seen_.events.push_back(to_string(frame));
        return;
      default:
        if (frame.opcode != 0) message_ = {frame.opcode, {}};
        if (frame.opcode != 0 && frame.rsv != 0) ++seen_.compressed;
        message_.payload += frame.payload;
        if (frame.fin) seen_.events.push_back(to_string(message_));
        return;
    }
  }

  const Script& script_;
  Link& link_;
  Encoder encode_;
  test::FrameReader reader_;
  Frame message_{};
  std::string held_{};
  Observed seen_{};
};

}  // namespace

Observed run(const Script& script, Link& link) { return Tester(script, link).run(); }

}  // namespace tern::conformance
