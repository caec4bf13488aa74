// The deadlines of a connection. docs/guides/limits-and-deadlines.md has a table of all clocks.
//
// - The deadline of the handshake is absolute. It is set when the handshake begins, and no traffic
//   moves it.
// - The silence clock starts again with every byte received. It stands still while the driver does
//   not read, because silence proves nothing then.
// - A question is a ping or our Close frame. It has no deadline before it was written to the
//   socket; until then only the stall clock runs. Afterwards the deadline moves while the peer
//   takes the bytes in front of the question, because it cannot answer a question that it has not
//   received.
// - The payload of a ping has a number, so that its pong is known. The round trip from the ping to
//   that pong is measured. A ping of which the moment of writing or reading is not known, because
//   the driver stopped reading, is not measured.
// - The stall clock runs while output waits to be written, and moves while the peer takes bytes.
//
// A peer "takes" bytes if it takes them at the rate of Limits::min_drain_bytes_per_second
// (base::Patience). A peer that takes a few bytes at long intervals does not keep a connection.
#include "base/later.h"
#include "engine/guarded.h"
#include "engine/workspace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tern {

using base::later;
using base::Patience;

namespace {

// The payload of a ping of the keepalive: "tern-" and its number. An application has another one.
class PingPayload {
 public:
  explicit PingPayload(std::uint16_t number) noexcept {
    end_ = std::to_chars(text_.data() + prefix, text_.data() + text_.size(), number).ptr;
  }
  std::string_view text() const noexcept { return {text_.data(), end_}; }
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(text())); }

 private:
  static constexpr std::size_t prefix = 5;

  std::array<char, 10> text_{'t', 'e', 'r', 'n', '-'};
  const char* end_;
};

}  // namespace

// The deadline of an open connection that has no output, which is the usual case.
inline Engine::TimePoint Engine::silence_deadline() const noexcept {
  if (keepalive_ == Keepalive::listening) [[likely]]
    return later(clock_.since(), options_->timeouts.silence);
  if (keepalive_ != Keepalive::ping_written) return TimePoint::max();
  return clock_.next_look(options_->timeouts.pong, tells_delivery_);
}

[[gnu::always_inline]] inline Engine::TimePoint Engine::next_deadline() const noexcept {
  if (now_ == TimePoint::min()) return TimePoint::min();
  return phase_ == Phase::open && !active_ ? silence_deadline() : active_deadline();
}

[[gnu::hot]] Engine::TimePoint Engine::deadline() const noexcept { return next_deadline(); }

Engine::TimePoint Engine::active_deadline() const noexcept {
  return std::min(phase_deadline(), stall_deadline());
}

// A client's request waits for the handshake's deadline alone: behind it, TLS may not even have
// begun to write.
Engine::TimePoint Engine::stall_deadline() const noexcept {
  const bool is_request = phase_ == Phase::opening && role_ == Role::client;
  if (!active_ || active_->out.empty() || is_request) return TimePoint::max();
  return active_->stall.next_look(options_->timeouts.stall, tells_delivery_);
}

Engine::TimePoint Engine::phase_deadline() const noexcept {
  const Timeouts& timeouts = options_->timeouts;
  const bool writes = active_ && !active_->out.empty();
  switch (phase_) {
    case Phase::opening:
      return later(clock_.since(), opening_limit());
    case Phase::open:
      // The bytes that the driver stashed may be the answer.
      if (active_ && active_->in.has_stash()) return TimePoint::max();
      return silence_deadline();
    case Phase::finishing:
      if (keepalive_ == Keepalive::paused || active_->in.has_stash()) return TimePoint::max();
      break;
    case Phase::closing:
      break;
    case Phase::ended:
    case Phase::closed:
      if (finished()) return TimePoint::max();
      break;
  }
  return writes ? TimePoint::max() : clock_.next_look(timeouts.close, tells_delivery_);
}

[[gnu::hot]] void Engine::advance(TimePoint now) noexcept {
  if (now_ == TimePoint::min()) [[unlikely]] {
    now_ = now;
    clock_.start(now);
    if (active_) active_->stall.start(now);
  }
  now_ = std::max(now_, now);
}

void Engine::tick(TimePoint now) noexcept {
  tells_delivery_ = false;
  advance(now);
  if (now_ >= next_deadline()) on_deadline(nullptr);
}

void Engine::tick(TimePoint now, PeerProgress delivery) noexcept {
  tells_delivery_ = true;
  advance(now);
  if (now_ >= next_deadline()) on_deadline(&delivery);
}

// Postpones only the clocks that would end the connection, because a late ping does no harm. Each
// clock is postponed alone. Otherwise a peer that sends all the time could hold output that it does
// not take.
bool Engine::postpone(TimePoint until) noexcept {
  const Timeouts& timeouts = options_->timeouts;
  const bool stalls = now_ >= stall_deadline() && active_->stall.is_over(now_, timeouts.stall);
  Timeouts::Duration limit = timeouts.close;
  if (phase_ == Phase::open) limit = timeouts.pong;
  if (phase_ == Phase::opening) limit = opening_limit();
  const bool pings = phase_ == Phase::open && keepalive_ == Keepalive::listening;
  const bool ends = now_ >= phase_deadline() && !pings && clock_.is_over(now_, limit);
  if (!stalls && !ends) return false;
  const bool stall_waits = !stalls || active_->stall.postpone(now_, until, timeouts.stall);
  const bool end_waits = !ends || clock_.postpone(now_, until, limit);
  return stall_waits && end_waits;
}

void Engine::on_deadline(const PeerProgress* delivery) noexcept {
  guarded([&] {
    if (now_ >= stall_deadline()) on_stall(delivery);
    if (now_ < phase_deadline()) return;
    switch (phase_) {
      case Phase::opening:
        return on_opening_timeout();
      case Phase::open:
        return on_silence(delivery);
      case Phase::finishing:
      case Phase::closing:
        // The peer did not answer in time (§7.1.1).
        if (is_answer_late(delivery, options_->timeouts.close)) terminate(Errc::close_timeout);
        return;
      case Phase::ended:
      case Phase::closed:
        if (is_answer_late(delivery, options_->timeouts.close)) drop();
        return;
    }
  });
}

void Engine::on_stall(const PeerProgress* delivery) {
  const Timeouts::Duration limit = options_->timeouts.stall;
  Patience& stall = active_->stall;
  if (delivery != nullptr) {
    stall.look(now_, *delivery, limit, options_->limits.min_drain_bytes_per_second,
               Patience::Counts::all);
  }
  if (stall.is_over(now_, limit)) terminate(Errc::write_stalled);
}

void Engine::on_silence(const PeerProgress* delivery) {
  if (keepalive_ == Keepalive::ping_written) {
    if (is_answer_late(delivery, options_->timeouts.pong)) terminate(Errc::pong_timeout);
    return;
  }
  activate();
  append_control(false, PingPayload(round_trip_.ask()).bytes());
  keepalive_ = Keepalive::ping_queued;
}

// Returns whether the peer has had its time to answer the frame that started clock_.
bool Engine::is_answer_late(const PeerProgress* delivery, Timeouts::Duration limit) {
  if (delivery != nullptr) {
    clock_.look(now_, *delivery, limit, options_->limits.min_drain_bytes_per_second,
                Patience::Counts::question);
  }
  return clock_.is_over(now_, limit);
}

[[gnu::cold]] void Engine::on_pong(Message payload) noexcept {
  const bool answers =
      round_trip_.is_written() && payload.text() == PingPayload(round_trip_.number()).text();
  if (answers) round_trip_.answered(now_);
}

// A part of the output was written.
[[gnu::cold]] void Engine::on_written(std::size_t bytes) noexcept {
  if (round_trip_.is_queued() && !active_->out.has_pings()) {
    round_trip_.written(now_);
    if (keepalive_ == Keepalive::ping_queued) {
      keepalive_ = Keepalive::ping_written;
      clock_.start(now_);
    }
  }
  if (!active_->out.empty()) {
    active_->stall.credit(now_, bytes, options_->limits.min_drain_bytes_per_second);
  } else if (phase_ == Phase::closing || phase_ == Phase::finishing ||
             (phase_ == Phase::opening && role_ == Role::server &&
              server_opening()->counts_from_written())) {
    clock_.start(now_);
  }
}

}  // namespace tern
