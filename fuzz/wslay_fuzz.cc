// tern against another implementation, wslay, on well-formed input: both read the same frames and
// hear the same; each reads what the other writes. Input: an octet for the role of tern's side, one
// that cuts messages into frames, then messages: an octet for the kind, a length, the payload.
//
// Subject: src/frame/header.cc
#include "frame/header.h"
#include "support/engine_peer.h"
#include "support/input.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include <wslay/wslay.h>

namespace {

using tern::Role;
using tern::fuzz::Input;
using tern::test::Frame;
using tern::test::Peer;
using tern::test::require;
using tern::test::to_string;
using Strings = std::vector<std::string>;

struct Conversation {
  std::vector<Frame> whole{};  // messages and controls
  std::vector<Frame> cut{};    // the same, in frames
};

// What a well-behaved peer may say: text is UTF-8, a Close comes last.
Conversation read_conversation(Input& input) {
  Conversation all;
  const std::size_t piece = 1 + input.take();
  std::size_t total =
      0;  // one long message, for the third form of lengths; more would only be slow
  for (int i = 0; i < 40 && !input.empty(); ++i) {
    const unsigned kind = input.take();
    std::string payload = input.take_octets();
    const bool control = kind % 8 >= 6;
    if (control) {
      payload.resize(std::min<std::size_t>(payload.size(), 125));
      all.whole.push_back({kind % 2 == 0 ? 9u : 10u, payload});
      all.cut.push_back(all.whole.back());
      continue;
    }
    for (unsigned doubled = kind / 8 % 16; doubled > 6 && payload.size() < 70'000; --doubled) {
      if (total + payload.size() > 70'000) break;
      payload += payload;
    }
    total += payload.size();
    const unsigned opcode = kind % 2 == 0 && tern::test::is_utf8(payload) ? 1 : 2;
    all.whole.push_back({opcode, payload});
    const std::size_t most = kind % 4 < 2 || payload.size() > 255 ? payload.size() : piece;
    for (std::size_t at = 0; at == 0 || at < payload.size(); at += most) {
      const bool last = payload.size() - at <= most;
      all.cut.push_back({at == 0 ? opcode : 0, payload.substr(at, most), last});
      if (last) break;
    }
  }
  all.whole.push_back(tern::test::closing(1000, "bye"));
  all.cut.push_back(all.whole.back());
  return all;
}

// ---- wslay's side: reads `in`, writes `out`, remembers what it heard

class Wslay {
 public:
  explicit Wslay(Role role, std::size_t fragment = 0) : fragment_(fragment) {
    static const wslay_event_callbacks callbacks = {
        .recv_callback = receive,
        .send_callback = send,
        .genmask_callback = mask,
        .on_frame_recv_start_callback = nullptr,
        .on_frame_recv_chunk_callback = nullptr,
        .on_frame_recv_end_callback = nullptr,
        .on_msg_recv_callback = hear,
    };
    const auto init =
        role == Role::server ? wslay_event_context_server_init : wslay_event_context_client_init;
    require(init(&context_, &callbacks, this) == 0, "no wslay");
  }
  ~Wslay() { wslay_event_context_free(context_); }
  Wslay(const Wslay&) = delete;
  Wslay& operator=(const Wslay&) = delete;

  /// Everything it hears in `octets`.
  Strings read(const std::string& octets) {
    in_ = octets;
    require(wslay_event_recv(context_) == 0 && in_.empty(), "wslay refuses what is well-formed");
    return std::exchange(heard_, {});
  }
  /// All frames that it writes for these.
  std::string write(const std::vector<Frame>& frames) {
    std::string octets;
    for (const Frame& frame : frames) {
      queue(frame);
      octets += written();  // one by one: it sends controls first
    }
    return octets;
  }
  /// What it writes of its own accord: pongs and its Close.
  std::string written() {
    require(wslay_event_send(context_) == 0, "wslay does not write");
    return std::exchange(out_, {});
  }

 private:
  static Wslay& self(void* data) { return *static_cast<Wslay*>(data); }

  static ssize_t receive(wslay_event_context_ptr context, std::uint8_t* buffer, std::size_t size,
                         int, void* data) {
    std::string& in = self(data).in_;
    const std::size_t got = std::min(size, in.size());
    if (got == 0) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    std::memcpy(buffer, in.data(), got);
    in.erase(0, got);
    return static_cast<ssize_t>(got);
  }
  static ssize_t send(wslay_event_context_ptr, const std::uint8_t* octets, std::size_t size, int,
                      void* data) {
    self(data).out_.append(reinterpret_cast<const char*>(octets), size);
    return static_cast<ssize_t>(size);
  }
  static int mask(wslay_event_context_ptr, std::uint8_t* buffer, std::size_t size, void*) {
    for (std::size_t i = 0; i < size; ++i) buffer[i] = static_cast<std::uint8_t>(i * 77 + 13);
    return 0;
  }
  static void hear(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* message,
                   void* data) {
    const std::string payload(reinterpret_cast<const char*>(message->msg), message->msg_length);
    self(data).heard_.push_back(tern::test::to_string({message->opcode, payload}));
  }

  void queue(const Frame& frame) {
    const auto* const octets = reinterpret_cast<const std::uint8_t*>(frame.payload.data());
    if (frame.opcode == 8) {
      require(wslay_event_queue_close(context_, 1000, octets + 2, frame.payload.size() - 2) == 0,
              "wslay does not close");
      return;
    }
    const wslay_event_msg message{static_cast<std::uint8_t>(frame.opcode), octets,
                                  frame.payload.size()};
    if (frame.opcode >= 8 || fragment_ == 0 || frame.payload.size() / fragment_ > 1000) {
      require(wslay_event_queue_msg(context_, &message) == 0, "wslay does not send");
      return;
    }
    pieces_.push_back({frame.payload, fragment_});
    const wslay_event_fragmented_msg cut{
        static_cast<std::uint8_t>(frame.opcode), {.data = &pieces_.back()}, next_piece};
    require(wslay_event_queue_fragmented_msg(context_, &cut) == 0, "wslay does not send");
  }

  struct Pieces {
    std::string rest;
    std::size_t most;
  };
  static ssize_t next_piece(wslay_event_context_ptr, std::uint8_t* buffer, std::size_t size,
                            const wslay_event_msg_source* source, int* eof, void*) {
    auto& pieces = *static_cast<Pieces*>(source->data);
    const std::size_t got = std::min({size, pieces.most, pieces.rest.size()});
    std::memcpy(buffer, pieces.rest.data(), got);
    pieces.rest.erase(0, got);
    *eof = pieces.rest.empty();
    return static_cast<ssize_t>(got);
  }

  std::size_t fragment_;
  wslay_event_context_ptr context_ = nullptr;
  std::string in_{};
  std::string out_{};
  Strings heard_{};
  std::deque<Pieces> pieces_{};
};

// ---- tern's side

// An engine that heard `octets`: its events as wslay would tell them.
Strings heard_by(Peer& peer, const std::string& octets) {
  Strings heard;
  peer.on_event = [&](const tern::Event& event) {
    using Kind = tern::Event::Kind;
    const std::string payload(event.message().text());
    if (event.kind() == Kind::message) {
      heard.push_back(to_string({event.message().is_text() ? 1u : 2u, payload}));
    }
    if (event.kind() == Kind::ping) heard.push_back(to_string({9, payload}));
    if (event.kind() == Kind::pong) heard.push_back(to_string({10, payload}));
  };
  peer.receive(octets, 4096);
  require(peer.told_closed() && peer.ending().clean, "tern refuses what is well-formed");
  heard.push_back(to_string(tern::test::closing(peer.ending().code, peer.ending().reason)));
  return heard;
}

// Pongs and the code of the Close that answer; whether a reason is echoed is free (§5.5.1).
Strings controls_of(const std::string& octets, Role sender) {
  tern::test::FrameReader reader(sender);
  reader.feed(octets);
  require(reader.fault().empty(), "an answer that is not well-formed:", reader.fault());
  Strings controls;
  for (Frame frame : reader.frames()) {
    if (frame.opcode < 8) continue;
    if (frame.opcode == 8) frame.payload.resize(std::min<std::size_t>(frame.payload.size(), 2));
    controls.push_back(to_string(frame));
  }
  return controls;
}

// ---- frame by frame

struct Octets {
  std::string rest;
};

ssize_t take_octets(std::uint8_t* buffer, std::size_t size, int, void* data) {
  std::string& rest = static_cast<Octets*>(data)->rest;
  const std::size_t got = std::min(size, rest.size());
  std::memcpy(buffer, rest.data(), got);
  rest.erase(0, got);
  return got == 0 ? -1 : static_cast<ssize_t>(got);
}

void compare_headers(Role sender, const std::vector<Frame>& frames) {
  const bool masked = sender == Role::client;
  const wslay_frame_callbacks callbacks = {nullptr, take_octets, nullptr};
  for (const Frame& frame : frames) {
    Octets octets{tern::test::wire(sender, frame)};
    const std::string wire = octets.rest;
    wslay_frame_context_ptr context = nullptr;
    require(wslay_frame_context_init(&context, &callbacks, &octets) == 0, "no wslay");
    wslay_frame_iocb theirs{};
    require(wslay_frame_recv(context, &theirs) >= 0, "wslay refuses a frame");
    tern::frame::Header ours;
    const std::unique_ptr<std::byte[]> block(new std::byte[wire.size()]);
    std::memcpy(block.get(), wire.data(), wire.size());
    const auto masking = masked ? tern::frame::Masking::masked : tern::frame::Masking::unmasked;
    const auto decoded = tern::frame::decode_header({block.get(), wire.size()}, masking, ours);
    require(!decoded.failed() && decoded.size == wire.size() - frame.payload.size(), "size");
    require(ours.length == theirs.payload_length, "length");
    require(ours.fin == (theirs.fin != 0), "fin");
    require(static_cast<unsigned>(ours.opcode) == theirs.opcode, "opcode");
    require(masked == (theirs.mask != 0) && theirs.rsv == 0, "mask");
    std::byte again[tern::frame::max_header_bytes];
    require(tern::frame::encode_header(again, ours, masking) == decoded.size, "encoded size");
    require(std::memcmp(again, wire.data(), decoded.size) == 0, "encoded octets");
    wslay_frame_context_free(context);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, std::min<std::size_t>(size, 4096));
  const Role us = input.take() % 2 == 0 ? Role::server : Role::client;
  const Role them = us == Role::server ? Role::client : Role::server;
  const std::size_t fragment = input.take();
  const Conversation said = read_conversation(input);
  Strings expected;
  for (const Frame& frame : said.whole) expected.push_back(to_string(frame));

  compare_headers(them, said.cut);

  // Both read the same octets; each other's answers are well-formed to the far side.
  const std::string octets = tern::test::wire(them, said.cut);
  Wslay wslay(us);
  Strings by_wslay;
  std::string by_itself;
  for (const Frame& frame : said.cut) {  // one by one: a Close of its own overtakes its pongs
    for (std::string& heard : wslay.read(tern::test::wire(them, frame))) {
      by_wslay.push_back(std::move(heard));
    }
    by_itself += wslay.written();
  }
  Peer tern(us);
  const Strings by_tern = heard_by(tern, octets);
  require(by_tern == expected, "tern heard something else than was said");
  require(by_wslay == expected, "wslay heard something else than was said");
  const Strings answers = tern.frames();
  require(Wslay(them).read(tern.written()) == answers, "wslay reads not what tern wrote");
  require(controls_of(by_itself, us) == controls_of(tern.written(), us), "other controls");

  // What wslay writes, whole or in fragments, tern hears.
  Wslay writer(them, fragment);
  Peer reader(us);
  const Strings of_wslay = heard_by(reader, writer.write(said.whole));
  require(of_wslay == expected, "tern hears not what wslay wrote");
  return 0;
}
