// Deadlines. The handshake's and the close's are absolute: `since_` is set when they begin and no
// traffic moves it. Silence, pong and stall are inactivity timers: a received byte, or one that was
// taken, starts them anew. While we do not read, silence proves nothing and its clocks stand still.
#include "engine/guarded.h"
#include "engine/workspace.h"
#include "handshake/server.h"

#include <algorithm>

namespace tern {
namespace {

Engine::TimePoint later(Engine::TimePoint from, Timeouts::Duration by) noexcept {
  Engine::TimePoint::rep sum = 0;
  if (__builtin_add_overflow(from.time_since_epoch().count(), by.count(), &sum)) {
    return Engine::TimePoint::max();
  }
  return Engine::TimePoint(Engine::TimePoint::duration(sum));
}

}  // namespace

// Of an open connection of which nothing is to be written, as most are.
[[gnu::always_inline]] inline Engine::TimePoint Engine::silence_deadline() const noexcept {
  if (!reading_) return TimePoint::max();
  return later(since_, pinged_ ? options_->timeouts.pong : options_->timeouts.silence);
}

[[gnu::always_inline]] inline Engine::TimePoint Engine::next_deadline() const noexcept {
  if (now_ == TimePoint::min()) return TimePoint::min();
  return phase_ == Phase::open && !active_ ? silence_deadline() : active_deadline();
}

[[gnu::hot]] Engine::TimePoint Engine::deadline() const noexcept { return next_deadline(); }

Engine::TimePoint Engine::active_deadline() const noexcept {
  const Timeouts& timeouts = options_->timeouts;
  TimePoint due = TimePoint::max();
  switch (phase_) {
    case Phase::opening:
    case Phase::refused:
    case Phase::deciding:
      due = later(since_, between_requests_ ? timeouts.http_idle : timeouts.handshake);
      break;
    case Phase::open:
      due = silence_deadline();
      break;
    case Phase::closing:
      due = later(since_, timeouts.close);
      break;
    case Phase::ended:
      if (!finished()) due = later(since_, timeouts.close);
      break;
  }
  if (active_ && !active_->out.empty()) {
    due = std::min(due, later(active_->progress_at, timeouts.stall));
  }
  return due;
}

[[gnu::hot]] void Engine::tick(TimePoint now) noexcept {
  if (now_ == TimePoint::min()) {
    since_ = now_ = now;
    if (active_) active_->progress_at = now;
  }
  now_ = std::max(now_, now);
  if (now_ >= next_deadline()) [[unlikely]]
    on_deadline();
}

void Engine::on_deadline() noexcept {
  guarded([&] {
    if (active_ && !active_->out.empty() &&
        now_ >= later(active_->progress_at, options_->timeouts.stall)) {
      return terminate(Errc::write_stalled);
    }
    switch (phase_) {
      case Phase::opening:
      case Phase::refused:
      case Phase::deciding:
        return on_handshake_timeout();
      case Phase::open:
        return on_silence();
      case Phase::closing:
        // Both frames crossed and only the write is late, or the peer never answered (§7.1.1).
        return terminate(Errc::close_timeout);
      case Phase::ended:
        return drop();
    }
  });
}

void Engine::on_handshake_timeout() {
  const bool asked =
      role_ == Role::server && active_ && active_->opening && active_->opening->head.started();
  if (phase_ == Phase::refused) {
    end(CloseCode::abnormal, Errc::upgrade_refused);
    drop();
  } else if (asked) {
    refuse(Errc::handshake_timeout);  // RFC 9110 §15.5.9: 408
  } else {
    end(CloseCode::abnormal, between_requests_ ? Errc::timed_out : Errc::handshake_timeout);
    if (role_ == Role::client) drop();
  }
}

void Engine::on_silence() {
  if (pinged_) return terminate(Errc::pong_timeout);
  activate();
  append_control(false, {});
  pinged_ = true;
  since_ = now_;
}

}  // namespace tern
