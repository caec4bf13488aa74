// Compares tern with another implementation, wslay, on well-formed input. Both receive the same
// messages from the same frames, and each reads the output of the other. Input: one byte for the
// role of tern, one byte that cuts messages into frames, then messages. A message is one byte for
// its kind, a length, and the payload.
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
  std::vector<Frame> cut{};    // the same messages, cut into frames
};

// Reads messages that a peer may send: text is UTF-8, and a Close is last.
Conversation read_conversation(Input& input) {
  Conversation all;
  const std::size_t piece = 1 + input.take();
  // One long message is enough for the 64-bit form of the length. More of them would be slow.
  std::size_t total = 0;
  for (int i = 0; i < 40 && !input.empty(); ++i) {
    const unsigned kind = input.take();
    std::string payload = input.take_bytes();
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

// ---- wslay's side: reads `in_`, writes `out_`, stores the received messages in `heard_`

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
    require(init(&context_, &callbacks, this) == 0, "wslay did not start");
  }
  ~Wslay() { wslay_event_context_free(context_); }
  Wslay(const Wslay&) = delete;
  Wslay& operator=(const Wslay&) = delete;

  /// Returns all messages that wslay receives in `bytes`.
  Strings read(const std::string& bytes) {
    in_ = bytes;
    require(wslay_event_recv(context_) == 0 && in_.empty(), "wslay refuses well-formed frames");
    return std::exchange(heard_, {});
  }
  /// Returns all bytes that wslay writes for these frames.
  std::string write(const std::vector<Frame>& frames) {
    std::string bytes;
    for (const Frame& frame : frames) {
      queue(frame);
      bytes += written();  // one frame at a time, because wslay sends control frames first
    }
    return bytes;
  }
  /// Returns the bytes that wslay writes without a request: pongs and its Close.
  std::string written() {
    require(wslay_event_send(context_) == 0, "wslay failed to write");
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
  static ssize_t send(wslay_event_context_ptr, const std::uint8_t* bytes, std::size_t size, int,
                      void* data) {
    self(data).out_.append(reinterpret_cast<const char*>(bytes), size);
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
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(frame.payload.data());
    if (frame.opcode == 8) {
      require(wslay_event_queue_close(context_, 1000, bytes + 2, frame.payload.size() - 2) == 0,
              "wslay failed to queue a Close");
      return;
    }
    const wslay_event_msg message{static_cast<std::uint8_t>(frame.opcode), bytes,
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

// Returns the events of an engine that receives `bytes`, in the form that Wslay::read() returns.
Strings heard_by(Peer& peer, const std::string& bytes) {
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
  peer.receive(bytes, 4096);
  require(peer.saw_closed() && peer.ending().clean, "tern refuses well-formed frames");
  heard.push_back(to_string(tern::test::closing(peer.ending().code, peer.ending().reason)));
  return heard;
}

// Returns the pongs and the code of the Close in `bytes`. The reason is left out, because an
// endpoint is free to echo it or not (§5.5.1).
Strings controls_of(const std::string& bytes, Role sender) {
  tern::test::FrameReader reader(sender);
  reader.feed(bytes);
  require(reader.fault().empty(), "an answer is not well-formed:", reader.fault());
  Strings controls;
  for (Frame frame : reader.frames()) {
    if (frame.opcode < 8) continue;
    if (frame.opcode == 8) frame.payload.resize(std::min<std::size_t>(frame.payload.size(), 2));
    controls.push_back(to_string(frame));
  }
  return controls;
}

// ---- frame by frame

struct Bytes {
  std::string rest;
};

ssize_t take_bytes(std::uint8_t* buffer, std::size_t size, int, void* data) {
  std::string& rest = static_cast<Bytes*>(data)->rest;
  const std::size_t got = std::min(size, rest.size());
  std::memcpy(buffer, rest.data(), got);
  rest.erase(0, got);
  return got == 0 ? -1 : static_cast<ssize_t>(got);
}

void compare_headers(Role sender, const std::vector<Frame>& frames) {
  const bool masked = sender == Role::client;
  const wslay_frame_callbacks callbacks = {nullptr, take_bytes, nullptr};
  for (const Frame& frame : frames) {
    Bytes bytes{tern::test::wire(sender, frame)};
    const std::string wire = bytes.rest;
    wslay_frame_context_ptr context = nullptr;
    require(wslay_frame_context_init(&context, &callbacks, &bytes) == 0, "wslay did not start");
    wslay_frame_iocb theirs{};
    require(wslay_frame_recv(context, &theirs) >= 0, "wslay refuses a frame header");
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
    require(std::memcmp(again, wire.data(), decoded.size) == 0, "encoded bytes");
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

  // Both sides read the same bytes, and each accepts the answers of the other.
  const std::string bytes = tern::test::wire(them, said.cut);
  Wslay wslay(us);
  Strings by_wslay;
  std::string by_itself;
  for (const Frame& frame : said.cut) {  // one at a time, because wslay's Close overtakes its pongs
    for (std::string& heard : wslay.read(tern::test::wire(them, frame))) {
      by_wslay.push_back(std::move(heard));
    }
    by_itself += wslay.written();
  }
  Peer tern(us);
  const Strings by_tern = heard_by(tern, bytes);
  require(by_tern == expected, "tern did not receive the messages that were sent");
  require(by_wslay == expected, "wslay did not receive the messages that were sent");
  const Strings answers = tern.frames();
  require(Wslay(them).read(tern.written()) == answers,
          "wslay did not receive the messages of tern");
  require(controls_of(by_itself, us) == controls_of(tern.written(), us),
          "tern and wslay wrote different control frames");

  // tern receives the messages that wslay writes, whole or in fragments.
  Wslay writer(them, fragment);
  Peer reader(us);
  const Strings of_wslay = heard_by(reader, writer.write(said.whole));
  require(of_wslay == expected, "tern did not receive the messages of wslay");
  return 0;
}
