// A turn of one connection. epoll reports that the socket is ready; the bytes that were read are
// fed to the engine; its events go to the session; its output leaves in one write at the end of the
// turn.
//
//   on_ready ─▶ read ─▶ feed ─▶ pump (next ─▶ session) ─▶ flush ─▶ settle ─┐
//                 ▲      until the socket is empty or the budget is spent   │
//                 └─────────────────────────────────────────────────────────┤
//   post, timer ─▶ send … ─▶ touch ─▶ at_turn_end ─────────────▶ finish_turn: flush, drained?,
//                                                                closed?, what to wait for
//
// Only pump, drain and run_timer call code of the application. A function that the application
// calls never does: it marks and appends. The application may close, terminate or pause the
// connection in a callback, so each step looks at the state again.
#include "connection/live_connection.h"

#include "base/errc_kind.h"

#include <algorithm>
#include <new>

namespace tern::connection {
namespace {

constexpr std::size_t read_budget = std::size_t{512} << 10;  // of a connection in one turn
// The same while a large message arrives. To leave each large message half done would cost a buffer
// for every connection. To finish it costs one buffer, which is still warm when the next connection
// takes it.
constexpr std::size_t message_budget = std::size_t{2} << 20;

}  // namespace

// ---- a turn

[[gnu::hot]] void LiveConnection::on_ready(std::uint32_t events) noexcept {
  if (state_ == State::gone) return;
  if (state_ == State::lingering) return linger();
  in_turn_ = true;
  engine_.advance(environment_->core.now());
  if ((events & net::writable) != 0 || blocked_ == Blocked::until_readable) blocked_ = Blocked::no;
  if ((events & net::broken) != 0) [[unlikely]]
    on_broken();
  TurnBudget budget(environment_->core);
  if ((events & (net::readable | net::broken)) != 0) {
    if (!engine_.rests()) pump(budget);
    if (!budget.spent()) read(budget);
  }
  in_turn_ = false;
  finish_turn(budget);
}

void LiveConnection::at_turn_end() noexcept {
  if (!engine_runs()) return;
  TurnBudget budget(environment_->core);
  finish_turn(budget);
}

// Something was queued or ended outside of on_ready. The end of the loop's turn handles it.
[[gnu::hot]] void LiveConnection::defer_to_turn_end() noexcept {
  if (!in_turn_ && engine_runs()) environment_->core.defer(*this);
}

[[gnu::hot]] void LiveConnection::finish_turn(TurnBudget& budget) noexcept {
  if (!engine_runs()) return;
  // In most turns all is done already.
  if (engine_.rests() && !congested_ && !waits_ && !paused_ && !read_ended_ &&
      interest_ == net::readable && !transport_->has_unsent()) {
    return update_timer();
  }
  in_turn_ = true;
  flush();
  engine_.settle();
  if (waits_) [[unlikely]]
    serve_waiting();
  drain();
  if (!engine_.is_open() || read_ended_) {  // flush() may have found that the socket is broken
    pump(budget);
    flush();
  }
  const bool finished = engine_.finished();
  if (finished) pump_end();  // the last write may be what ended it, after all events were given
  in_turn_ = false;
  if (finished) return start_linger();
  if (goes_on()) environment_->core.again(*this);
  update_interest();
  update_timer();
}

// A body goes on when a part of it was written. Once the answers before them are written, requests
// go on with what the engine kept or what the transport holds. The connection does not read while
// it cannot write the answers to what it read.
bool LiveConnection::goes_on() const noexcept {
  if (engine_.delivers()) return false;
  return engine_.has_stash() || engine_.wants_pull() ||
         (more_ && may_read() && !transport_->has_unsent());
}

// ---- reading

inline bool LiveConnection::may_read() const noexcept {
  return engine_runs() && !read_ended_ && !(paused_ && engine_.delivers()) &&
         (engine_.rests() || engine_.wants_input());
}

[[gnu::hot]] void LiveConnection::read(TurnBudget& budget) noexcept {
  std::size_t total = 0;
  while (may_read()) {
    std::span<std::byte> buffer = environment_->core.receive_buffer();
    std::span<std::byte> room = engine_.rests() ? std::span<std::byte>() : engine_.read_room();
    // Only messages are read in large pieces: requests that wait for an answer stay in memory.
    const bool whole = reads_whole_ && engine_.delivers();
    buffer = buffer.first(std::min<std::size_t>(buffer.size(), whole ? whole_read : small_read));
    const std::size_t most = room.empty() ? read_budget : message_budget;
    if (total >= most) return environment_->core.again(*this);
    if (total > 0) {
      budget.charge(TurnBudget::reading);
      if (budget.count()) return environment_->core.again(*this);
    }
    if (buffer.empty()) return engine_.terminate(Errc::no_memory);
    room = room.first(std::min(room.size(), most - total));
    buffer = buffer.first(std::min(buffer.size(), most - total - room.size()));
    const ReadSpace space(room, buffer);
    const net::Transport::Transfer got = space.read(*transport_);
    if (got.state != net::Transport::State::wait_write) more_ = got.more;
    switch (got.state) {
      case net::Transport::State::ok:
        break;
      case net::Transport::State::wait_read:
        if (got.more) environment_->core.again(*this);
        return;
      case net::Transport::State::wait_write:
        return;
      case net::Transport::State::end:
        read_ended_ = true;
        if (extras_) tell_peer_left();
        engine_.feed_eof();
        return pump(budget);
      case net::Transport::State::failed:
        return on_read_failed(got.error, budget);
    }
    environment_->metrics.bytes_received.add(got.bytes);
    if (interest_ != 0) environment_->core.poller().heard(*this);
    space.feed(engine_, got.bytes);
    pump(budget);
    flush();
    engine_.settle();
    if (budget.spent()) {
      reads_whole_ = false;
      return;
    }
    if (!space.may_have_more(got)) return;
    reads_whole_ = true;
    total += got.bytes;
  }
}

// When TLS failed, TCP still works. The alert that we sent must reach the peer, so this end comes
// from us and not from the peer.
void LiveConnection::on_read_failed(std::error_code error, TurnBudget& budget) noexcept {
  read_ended_ = !base::is_tls_failure(error);
  if (environment_->shared.log && (!read_ended_ || error == Errc::proxy_header_invalid)) {
    call_application("a log of TLS", [&] {
      log(environment_->shared.log, LogLevel::info,
          error_category().message(error.value()) + ": " + transport_->explanation(),
          remote_address());
    });
  }
  engine_.feed_error(error);
  pump(budget);
}

// The next read finds the error, unless nothing is read. If kept input goes on in this turn, more
// may be read behind it.
void LiveConnection::on_broken() noexcept {
  if (may_read() || (engine_.has_stash() && !paused_)) return;
  read_ended_ = true;
  engine_.feed_error(Errc::connection_reset);
}

// ---- events

// Gives the session the events of the engine. If the application paused, or the budget is spent,
// the engine keeps the rest.
[[gnu::hot]] void LiveConnection::pump(TurnBudget& budget) noexcept {
  while (engine_runs()) {
    if (paused_ && engine_.delivers()) return engine_.stash();
    const Event event = engine_.next();
    if (event.kind() == Event::Kind::message) {
      on_message(event);
      if (event.is_last() && engine_.is_open()) {
        active_at_ = environment_->core.moment();  // once for many messages of one read
        return;
      }
    } else if (event) {
      on_event(event, budget);
    } else {
      return;
    }
    if (budget.count()) [[unlikely]] {
      engine_.stash();
      return environment_->core.again(*this);
    }
  }
}

// The same after the engine was terminated: only the event of the end is left.
void LiveConnection::pump_end() noexcept {
  const bool outer = in_turn_;
  in_turn_ = true;
  TurnBudget budget(environment_->core);
  pump(budget);
  in_turn_ = outer;
}

inline void LiveConnection::on_message(Event event) noexcept {
  environment_->metrics.messages_received.add();
  const bool fine = call_application(
      "on_message", [&] { session_.type()->on_message(session_.get(), *this, event.message()); });
  if (!fine) engine_.fail(Errc::handler_threw);
}

// ---- writing

// Writes until the socket takes no more or all is written. It calls no code of the application.
[[gnu::hot]] void LiveConnection::flush() noexcept {
  if (blocked_ != Blocked::no || !engine_runs()) return;
  const Written done = write_output(engine_, *transport_);
  environment_->metrics.bytes_sent.add(done.bytes);
  blocked_ = done.blocked;
  if (done.error) [[unlikely]]
    on_write_failed(*done.error);
}

// An application that has paused until on_drain would otherwise wait without end. A turn may also
// write after it has taken the last event from the engine. So the next turn takes the end, because
// nothing else would: a write may be what consumes the socket's error, and this connection does not
// read any more.
void LiveConnection::on_write_failed(std::error_code error) noexcept {
  read_ended_ = true;
  paused_ ? engine_.terminate(error) : engine_.feed_error(error);
  environment_->core.again(*this);
}

// ---- what to wait for

// A descriptor from which nothing is expected leaves epoll, because a hang-up would wake the loop
// again and again.
void LiveConnection::update_interest() noexcept {
  const bool discards = state_ == State::lingering && !full_;
  const bool writes = engine_runs() && blocked_ != Blocked::no && engine_.queued_bytes() > 0;
  const Readiness awaited =
      readiness_to_await(discards || may_read(), writes, transport_->has_unsent(), blocked_);
  std::uint32_t wanted =
      (awaited.readable ? net::readable : 0u) | (awaited.writable ? net::writable : 0u);
  // A connection with work for the next turn looks at its socket then. Until that it stays as it
  // is, because a change is a system call.
  const bool has_work = static_cast<net::Watcher*>(this)->linked();
  if (has_work) wanted |= interest_ & net::readable;
  if (wanted == interest_ || state_ == State::gone) return;
  net::Poller& poller = environment_->core.poller();
  std::error_code error;
  if (wanted == 0) {
    poller.remove(transport_->fd(), *this);
    if (has_work) environment_->core.again(*this);  // remove() took that away
  } else if (interest_ == 0) {
    error = poller.add(transport_->fd(), wanted, *this);
  } else {
    error = poller.modify(transport_->fd(), wanted, *this);
  }
  if (!error) {
    interest_ = static_cast<std::uint8_t>(wanted);
    return;
  }
  engine_.terminate(error);
  pump_end();
  die();
}

[[gnu::hot]] void LiveConnection::update_timer() noexcept {
  if (!engine_runs()) return;
  try {
    environment_->core.timers().arm_no_later(*this, engine_.deadline());
  } catch (const std::bad_alloc&) {
    engine_.terminate(Errc::no_memory);
    pump_end();
    die();
  }
}

}  // namespace tern::connection
