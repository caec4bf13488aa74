// What goes out. A server references large payloads that stay alive, and copies small ones side by
// side; a client must mask, and masks while it copies (RFC 6455 §5.3).
#include "base/assert.h"
#include "engine/encoded_message.h"
#include "engine/guarded.h"
#include "engine/workspace.h"
#include "simd/utf8.h"

namespace tern {

using frame::Opcode;

namespace {

// Below, copying is cheaper than another piece for writev.
constexpr std::size_t min_referenced = 4096;

}  // namespace

// A fresh key for each frame of a client, from the system's source (§10.3). False: it failed.
bool Engine::draw_key(std::uint32_t& key) noexcept {
  if (role_ == Role::server) return true;
  if (const auto drawn = workspace_->memory().random().draw_key()) {
    key = *drawn;
    return true;
  }
  fail(Errc::random_unavailable);
  return false;
}

bool Engine::would_overflow(std::size_t bytes) const noexcept {
  const std::size_t queued = queued_bytes();
  const std::size_t most = options_->limits.max_queued_bytes;
  return queued > 0 && (queued > most || bytes > most - queued);
}

template <class F>
SendStatus Engine::send_with(Message message, F&& append) noexcept {
  TERN_DEBUG_ASSERT(!message.is_text() || simd::utf8_valid(message.bytes()));
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
    if (draw_key(header.key)) append(header);
  });
  if (phase_ != Phase::open) return SendStatus::closed;
  return queued_bytes() > options_->limits.high_water_bytes ? SendStatus::congested
                                                            : SendStatus::queued;
}

SendStatus Engine::send(Message message) noexcept {
  return send_with(message, [&](const frame::Header& header) {
    const auto payload = message.bytes();
    if (role_ == Role::server && payload.size() >= min_referenced) {
      if (active_->in.lent(payload)) return active_->out.append_borrowed(header, payload);
      if (auto chunk = active_->in.chunk_of(payload)) {
        return active_->out.append_chunk(header, payload, std::move(chunk));
      }
    }
    active_->out.append_copy(header, payload);
  });
}

SendStatus Engine::send(const SharedMessage& shared) noexcept {
  const Message message = shared.message();
  return send_with(message, [&](const frame::Header& header) {
    if (role_ == Role::server && message.size() >= min_referenced) {
      return active_->out.append_shared(shared);
    }
    active_->out.append_copy(header, message.bytes());
  });
}

SendStatus Engine::send_borrowed(Message message) noexcept {
  return send_with(message, [&](const frame::Header& header) {
    if (role_ == Role::server && message.size() >= min_referenced) {
      return active_->out.append_borrowed(header, message.bytes());
    }
    active_->out.append_copy(header, message.bytes());
  });
}

void Engine::settle() noexcept {
  if (active_) guarded([&] { active_->out.settle(); });
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

std::span<const iovec> Engine::output() noexcept {
  std::span<const iovec> pieces;
  if (active_) guarded([&] { pieces = active_->out.output(); });
  return pieces;
}

void Engine::consume_output(std::size_t written) noexcept {
  if (!active_ || written == 0) return;
  active_->out.consume(written);
  active_->progress_at = now_;
  complete_close();
  rest();
}

std::size_t Engine::queued_bytes() const noexcept {
  return active_ ? active_->out.queued_bytes() : 0;
}

}  // namespace tern
