// The closing handshake, RFC 6455 §5.5.1 and §7. One side sends Close and then no more data, and
// the other side answers. The server ends TCP first (§7.1.1), so a client waits for that.
//
//              our Close queued                 the peer's Close
//   open ──────────────────────▶ closing ─────────────────────────▶ both: ended, clean,
//     └── the peer's Close: ours is queued in answer ──▶ closing      once ours is written
//
// finish() queues Close, too, but messages of the peer are delivered until its Close frame comes.
//
// A connection that fails (§7.1.7) queues a Close frame with the code of the fault and ends at
// once. Later bytes of the peer are not read. Without a Close frame the code is 1006.
#include "engine/guarded.h"
#include "engine/kept.h"
#include "engine/workspace.h"
#include "frame/close_payload.h"

namespace tern {

using frame::Opcode;

void Engine::on_peer_close(Message payload) {
  const frame::ClosePayload close = frame::decode_close(payload.bytes());
  if (close.error != Errc{}) return fail(close.error);
  const bool we_answer = close_frames_ == CloseFrames::none;
  close_frames_ = we_answer ? CloseFrames::received : CloseFrames::both;
  CloseInfo& info = active_->close;
  info.code = close.code;
  info.reason.assign(close.reason);
  info.opened = true;
  info.by_peer = we_answer;
  active_->in.discard();
  if (phase_ == Phase::finishing) phase_ = Phase::closing;
  if (we_answer) start_close(close.code, {});
  if (has_ended()) return;  // there was no masking key for the answer
  if (role_ == Role::client && !active_->eof && !active_->error) {
    close_frames_ = CloseFrames::both_await_fin;
  }
}

void Engine::stop_awaiting_fin() noexcept {
  if (close_frames_ == CloseFrames::both_await_fin) close_frames_ = CloseFrames::both;
}

// Reports the end, after both Close frames crossed (§7.1.4) or the connection ended in another way.
void Engine::complete_close() noexcept {
  if (phase_ != Phase::closing || !peer_has_closed() || !active_->out.empty()) return;
  active_->close.clean = true;
  active_->close.error = {};
  phase_ = Phase::ended;  // clock_ stays: timeouts.close counts from our Close frame to the end
}

[[gnu::hot]] Event Engine::next_end() noexcept {
  complete_close();
  if (phase_ != Phase::ended) return {};
  phase_ = Phase::closed;
  return Event(Event::Kind::closed);
}

void Engine::start_close(CloseCode code, std::string_view reason, Phase next) {
  std::array<std::byte, frame::max_control_payload> payload;
  const std::size_t size = frame::encode_close(payload, code, reason);
  frame::Header header{.length = size, .opcode = Opcode::close, .fin = true};
  if (!draw_key(header.key)) return;
  active_->will_write(now_);
  active_->out.append_copy(header, std::span(payload).first(size));
  if (next == Phase::closing) active_->in.skip_messages();
  close_frames_ = close_frames_ == CloseFrames::none ? CloseFrames::sent : CloseFrames::both;
  if (phase_ == Phase::open) {
    phase_ = next;
    if (keepalive_ != Keepalive::paused) keepalive_ = Keepalive::listening;
  }
}

void Engine::close(CloseCode code, std::string_view reason) noexcept {
  switch (phase_) {
    case Phase::open:
      guarded([&] {
        activate();
        start_close(code, reason);
      });
      return;
    case Phase::opening:
      guarded([&] { close_opening(); });
      return;
    case Phase::finishing:
      active_->in.skip_messages();
      phase_ = Phase::closing;
      return;
    case Phase::closing:
    case Phase::ended:
    case Phase::closed:
      return;
  }
}

void Engine::finish(CloseCode code, std::string_view reason) noexcept {
  if (phase_ == Phase::finishing) return;
  if (phase_ != Phase::open) return close(code, reason);
  guarded([&] {
    activate();
    start_close(code, reason, Phase::finishing);
  });
}

void Engine::terminate(std::error_code why) noexcept {
  if (!has_ended()) end(CloseCode::abnormal, why);
  drop();
}

bool Engine::may_send_close() const noexcept {
  const bool unsent = close_frames_ == CloseFrames::none || close_frames_ == CloseFrames::received;
  return unsent && (phase_ == Phase::open || phase_ == Phase::closing);
}

// Ends the connection because of a fault on either side. Sends a Close frame with the code and the
// reason of the fault, if a Close frame may still be sent. Without memory it has no reason.
void Engine::fail(std::error_code why) noexcept {
  if (has_ended()) return;
  const bool ours = why.category() == error_category();
  const auto errc = static_cast<Errc>(why.value());
  const CloseCode code = ours ? close_code(errc) : CloseCode::internal_error;
  const std::string_view reason = ours ? close_reason(errc) : std::string_view();
  const bool may_close = may_send_close();
  if (may_close && why != Errc::no_memory) {
    guarded([&] { activate(); });  // the connection may be at rest
    if (has_ended()) return;
  }
  if (!may_close || !active_) {
    end(may_close ? code : CloseCode::abnormal, why);
    if (!active_ || why == Errc::no_memory) drop();
    return;
  }
  if (why == Errc::no_memory || why == Errc::random_unavailable) {
    // A key of zeros hides nothing, but this frame contains no secret (§10.3).
    std::array<std::byte, frame::max_header_bytes + 2> bytes{};
    frame::Header header{.length = 2, .opcode = Opcode::close, .fin = true};
    const auto masking = role_ == Role::client ? frame::Masking::masked : frame::Masking::unmasked;
    const std::size_t size = frame::encode_header(bytes.data(), header, masking);
    std::array<std::byte, frame::max_control_payload> payload;
    frame::encode_close(payload, code, {});
    bytes[size] = payload[0];
    bytes[size + 1] = payload[1];
    active_->out.append_emergency(std::span(bytes).first(size + 2));
  } else {
    guarded([&] { start_close(code, reason); });
    if (has_ended()) return;
    end(code, why);
    if (!peer_has_closed()) guarded([&] { active_->close.reason = reason; });
    return;
  }
  if (!has_ended()) end(code, why);
}

// The close_info is complete, so Kind::closed is the next event. Output stays.
void Engine::end(CloseCode code, std::error_code why) noexcept {
  const bool opened = delivers() || phase_ == Phase::closing;
  if (phase_ != Phase::closing) clock_.start(now_);
  phase_ = Phase::ended;
  stop_awaiting_fin();
  if (!active_) {
    try {
      activate();
    } catch (const std::bad_alloc&) {
      return;
    }
  }
  CloseInfo& info = active_->close;
  if (!peer_has_closed()) {  // otherwise the peer's code and reason stay, because only our answer
                             // failed
    info.code = code;
    info.reason.clear();
    info.by_peer = false;
  }
  info.error = why;
  info.clean = false;
  info.opened = opened;
  active_->in.abandon();  // the caller may still use a message
  if (kept_) {
    kept_->inflater.reset();
    kept_->deflater.reset();
  }
}

// Nothing more is written, because that is impossible or unwanted.
void Engine::drop() noexcept {
  if (active_) active_->out.clear();
  stop_awaiting_fin();
}

}  // namespace tern
