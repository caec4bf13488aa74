// Sends messages and control frames. A server references large payloads that stay alive, and copies
// small ones side by side. A client has to mask, so it masks while it copies (RFC 6455 §5.3).
//
// If compression was agreed on, a message is compressed first (RFC 7692 §7.2.1). Without context
// takeover the compressed form is sent only if it is smaller. With takeover it is always sent,
// because the window of our compressor must equal the bytes that the peer has inflated.
#include "deflate/params.h"
#include "engine/encoded_message.h"
#include "engine/guarded.h"
#include "engine/kept.h"
#include "engine/text.h"
#include "engine/workspace.h"

namespace tern {

using frame::Opcode;

namespace {

// A payload below this is copied, because that is cheaper than another piece for writev.
constexpr std::size_t min_referenced = 4096;
// The same for a shared frame that waits for the socket. It may wait for long, so its memory counts
// and not its piece. A piece has 56 bytes, and a copy needs a chunk of 16 KiB.
constexpr std::size_t min_waiting = 64;

Deflate with_defaults(const std::optional<Deflate>& options) noexcept {
  return deflate::usable(options).value_or(Deflate{});
}

}  // namespace

// Draws a new key for a frame of a client from the random source of the system (§10.3). Returns
// false if the source failed.
bool Engine::draw_key(std::uint32_t& key) noexcept {
  if (role_ == Role::server) return true;
  if (const auto drawn = workspace_->memory().random().draw_key()) {
    key = *drawn;
    return true;
  }
  fail(Errc::random_unavailable);
  return false;
}

inline std::size_t Engine::queued() const noexcept {
  return active_ ? active_->out.queued_bytes() : 0;
}

inline bool Engine::overflows(std::size_t queued, std::size_t bytes) const noexcept {
  const std::size_t most = options_->limits.max_queued_bytes;
  return queued > 0 && (queued > most || bytes > most - queued);
}

[[gnu::hot]] bool Engine::would_overflow(std::size_t bytes) const noexcept {
  return overflows(queued(), bytes);
}

[[gnu::hot]] bool Engine::is_crowded(std::size_t bytes, std::size_t most) const noexcept {
  return queued() > most || overflows(queued(), bytes);
}

inline SendStatus Engine::queue_status(std::size_t queued) const noexcept {
  return queued > options_->limits.high_water_bytes ? SendStatus::congested : SendStatus::queued;
}

template <class F>
SendStatus Engine::send_with(Message message, F&& append) noexcept {
  if (phase_ != Phase::open) return SendStatus::closed;
  if (would_overflow(message.size())) {
    if (options_->limits.overflow == Overflow::reject) return SendStatus::full;
    active_->out.drop_unstarted();
    fail(Errc::peer_too_slow);
    return SendStatus::closed;
  }
  guarded([&] {
    activate();
    active_->will_write(now_);
    frame::Header header{
        .length = message.size(), .opcode = engine::opcode_of(message.type()), .fin = true};
    if (role_ == Role::server || draw_key(header.key)) append(header);
  });
  if (phase_ != Phase::open) return SendStatus::closed;
  return queue_status(queued());
}

// ---- compression

inline bool Engine::compresses(Message message, SendOptions options) const noexcept {
  if (!deflate_ || !options.compress || deflate_->window_bits == 0 || message.empty()) return false;
  const std::size_t usual = deflate_->takeover ? 0 : engine::default_min_bytes;
  return message.size() >= with_defaults(options_->deflate).min_bytes.value_or(usual);
}

// Returns false if the message must be sent without compression.
bool Engine::append_compressed(frame::Header header, Message message) {
  const Deflate options = with_defaults(options_->deflate);
  const deflate::DeflateParameters parameters{.level = options.level,
                                              .window_bits = deflate_->window_bits,
                                              .memory_level = options.memory_level};
  engine::Memory& memory = workspace_->memory();
  if (deflate_->takeover && !kept_->deflater) {
    kept_->deflater = std::make_unique<deflate::Deflater>(parameters);
  }
  deflate::Deflater& deflater =
      deflate_->takeover ? *kept_->deflater : memory.contexts().deflater(parameters);
  base::ChunkRef chunk;
  header.length = deflater.compress(message.bytes(), deflate_->takeover, memory.chunks(), chunk);
  if (header.length == 0) return false;
  header.compressed = true;
  const std::span<const std::byte> payload(chunk.data(), static_cast<std::size_t>(header.length));
  if (role_ == Role::server && payload.size() >= min_referenced) {
    active_->out.append_chunk(header, payload, std::move(chunk));
  } else {
    active_->out.append_copy(header, payload);
  }
  return true;
}

// Returns the size from which on the queue refers to shared frames. The output waits for the socket
// if a part of a frame is written, or if it was queued before this turn.
std::size_t Engine::least_shared() const noexcept {
  const engine::Outbound& out = active_->out;
  const bool waits = !out.empty() && (out.is_begun() || active_->stall.since() < now_);
  return waits ? min_waiting : min_referenced;
}

// The shared form refers to no other message. With takeover the connection compresses the message
// itself, because its own context makes it smaller and the peer's window must equal that context.
bool Engine::append_compressed(frame::Header header, const SharedMessage& shared) {
  if (deflate_->takeover) return append_compressed(header, shared.message());
  const engine::CompressedForm* form = shared.encoded()->compressed();
  if (form == nullptr) {
    const Deflate options = with_defaults(options_->deflate);
    // The shared form suits only connections with a window that is large enough.
    if (options.window_bits > deflate_->window_bits) return false;
    engine::Memory& memory = workspace_->memory();
    deflate::Deflater& deflater =
        memory.contexts().deflater({.level = options.level,
                                    .window_bits = options.window_bits,
                                    .memory_level = options.memory_level});
    form = shared.encoded()->compress(deflater, memory.chunks());
  }
  const auto payload = form->payload();
  if (payload.empty() || form->window_bits() > deflate_->window_bits) return false;
  if (role_ == Role::server && payload.size() >= least_shared()) {
    active_->out.append_shared(shared, form->frame());
    return true;
  }
  header.compressed = true;
  header.length = payload.size();
  active_->out.append_copy(header, payload);
  return true;
}

// ---- messages

// Text that is not UTF-8 would make the peer fail the connection (§8.1). After the end it is not
// checked, because send_with() returns `closed`.
bool Engine::refuses(Message message, SendOptions options) const noexcept {
  if (!message.is_text() || !options.check_text || phase_ != Phase::open) return false;
  if (active_ && active_->in.is_checked_text(message.bytes())) return false;
  return !engine::is_valid_text(message);
}

// Whether `message` is an echo that only needs a header in front of it: the whole message that was
// received last or, if that is binary, its beginning. Nothing else waits in front of it but echoes
// that end where it begins.
inline bool Engine::is_plain_echo(Message message) const noexcept {
  if (phase_ != Phase::open || !active_ || deflate_) return false;
  const engine::EchoRoom& room = active_->in.echo_room();
  const auto payload = message.bytes();
  return room.holds(payload) && (!message.is_text() || room.vouches_for_text(payload)) &&
         active_->out.takes(engine::EchoRoom::frame_begin(payload)) &&
         !overflows(active_->out.queued_bytes(), message.size());
}

[[gnu::hot]] SendStatus Engine::send(Message message, SendOptions options) noexcept {
  if (!is_plain_echo(message)) return send_any(message, options);
  active_->will_write(now_);
  active_->out.append_adjacent(active_->in.echo_room().frame(
      {.length = message.size(), .opcode = engine::opcode_of(message.type()), .fin = true},
      message.bytes()));
  return queue_status(active_->out.queued_bytes());
}

SendStatus Engine::send_any(Message message, SendOptions options) noexcept {
  if (refuses(message, options)) return SendStatus::not_utf8;
  return send_with(message, [&](const frame::Header& header) {
    if (compresses(message, options) && append_compressed(header, message)) return;
    const auto payload = message.bytes();
    // An echo behind something else is a piece of its own. A small one is copied instead.
    engine::EchoRoom& room = active_->in.echo_room();
    if (room.holds(payload) && payload.size() >= min_referenced) {
      return active_->out.append_frame(room.frame(header, payload));
    }
    if (role_ == Role::server && payload.size() >= min_referenced) {
      if (active_->in.lent(payload)) return active_->out.append_borrowed(header, payload);
      if (auto chunk = active_->in.chunk_of(payload)) {
        return active_->out.append_chunk(header, payload, std::move(chunk));
      }
    }
    active_->out.append_copy(header, payload);
  });
}

[[gnu::hot]] SendStatus Engine::send(const SharedMessage& shared, SendOptions options) noexcept {
  const Message message = shared.message();
  if (options.check_text && phase_ == Phase::open && !engine::is_sendable(shared)) {
    return SendStatus::not_utf8;
  }
  return send_with(message, [&](const frame::Header& header) {
    if (compresses(message, options) && append_compressed(header, shared)) return;
    if (role_ == Role::server && message.size() >= least_shared()) {
      return active_->out.append_shared(shared, shared.encoded()->frame());
    }
    active_->out.append_copy(header, message.bytes());
  });
}

[[gnu::hot]] std::span<const std::byte> Engine::direct_frame(const SharedMessage& shared,
                                                             SendOptions options) const noexcept {
  const engine::EncodedMessage* const encoded = shared.encoded();
  if (!rests() || role_ != Role::server || encoded == nullptr) return {};
  if (!compresses(shared.message(), options)) return encoded->frame();
  const engine::CompressedForm* const form = encoded->compressed();
  if (deflate_->takeover || form == nullptr) return {};  // send() compresses it
  const bool fits = !form->payload().empty() && form->window_bits() <= deflate_->window_bits;
  return fits ? form->frame() : encoded->frame();
}

// Without memory the peer cannot receive the rest of a frame, so no Close frame may follow.
void Engine::send_rest(const SharedMessage& shared, std::span<const std::byte> rest,
                       bool begun) noexcept {
  try {
    activate();
    active_->will_write(now_);
    active_->out.append_rest(shared, rest, begun);
  } catch (const std::bad_alloc&) {
    terminate(Errc::no_memory);
  }
}

SendStatus Engine::send_borrowed(Message message, SendOptions options) noexcept {
  if (refuses(message, options)) return SendStatus::not_utf8;
  return send_with(message, [&](const frame::Header& header) {
    if (compresses(message, options) && append_compressed(header, message)) return;
    if (role_ == Role::server && message.size() >= min_referenced) {
      return active_->out.append_borrowed(header, message.bytes());
    }
    active_->out.append_copy(header, message.bytes());
  });
}

[[gnu::hot]] void Engine::settle() noexcept {
  if (!active_) return;
  active_->in.end_lending();
  guarded([&] { active_->out.settle(); });
  rest();
}

void Engine::append_control(bool pong, std::span<const std::byte> payload) {
  active_->will_write(now_);
  payload = payload.first(std::min(payload.size(), frame::max_control_payload));
  frame::Header header{
      .length = payload.size(), .opcode = pong ? Opcode::pong : Opcode::ping, .fin = true};
  if (draw_key(header.key)) active_->out.append_control(header, payload);
}

void Engine::ping(std::span<const std::byte> payload) noexcept {
  if (phase_ != Phase::open) return;
  guarded([&] {
    activate();
    append_control(false, payload);
  });
}

[[gnu::hot]] std::span<const iovec> Engine::output() noexcept {
  return active_ ? active_->out.output() : std::span<const iovec>();
}

OutputFile Engine::output_file() const noexcept {
  return active_ ? active_->out.output_file() : OutputFile();
}

[[gnu::hot]] void Engine::consume_output(std::size_t written) noexcept {
  if (!active_ || written == 0) return;
  active_->out.consume(written);
  if (phase_ != Phase::open || round_trip_.is_queued() || !active_->out.empty())
    on_written(written);
  complete_close();
  rest();
}

[[gnu::hot]] std::size_t Engine::queued_bytes() const noexcept { return queued(); }

}  // namespace tern
