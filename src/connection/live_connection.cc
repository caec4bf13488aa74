// A turn of one connection: epoll says ready; what was read is fed to the engine, its events go to
// the session, and its output leaves in one write at the end of the turn.
//
//   on_ready ─▶ read ─▶ feed ─▶ pump (next ─▶ session) ─▶ flush ─▶ settle ─┐
//                 ▲      until the socket is empty or the budget is spent   │
//                 └─────────────────────────────────────────────────────────┤
//   post, timer ─▶ send … ─▶ touch ─▶ at_turn_end ─────────────▶ finish_turn: flush, drained?,
//                                                                closed?, what to wait for
//
// Code of the application is called from pump, drain and run_timer only, never from a function that
// the application called: those only mark and append. What it may do to the connection meanwhile
// (close, terminate, pause) shows in the state that each step looks at again.
#include "connection/live_connection.h"

#include "base/assert.h"
#include "base/errc_kind.h"
#include "net/socket.h"

#include <algorithm>
#include <array>
#include <new>

namespace tern::connection {
namespace {

constexpr std::size_t read_budget = std::size_t{512} << 10;  // of a connection in one turn
// The same while a large message arrives. To leave each one half done would cost a buffer for every
// connection, instead of one that is still warm when the next connection takes it.
constexpr std::size_t message_budget = std::size_t{2} << 20;

}  // namespace

// ---- a turn

[[gnu::hot]] void LiveConnection::on_ready(std::uint32_t events) noexcept {
  if (state_ == State::gone) return;
  if (state_ == State::lingering) return linger();
  in_turn_ = true;
  engine_.advance(environment_->core.now());
  if ((events & net::writable) != 0 || write_needs_read_) blocked_ = write_needs_read_ = false;
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
  if (state_ != State::serving) return;
  TurnBudget budget(environment_->core);
  finish_turn(budget);
}

// Something was queued or ended outside of on_ready: look after it at the end of the loop's turn.
[[gnu::hot]] void LiveConnection::touch() noexcept {
  if (!in_turn_ && state_ == State::serving) environment_->core.defer(*this);
}

// Reading finds the error, unless nothing is read. Where kept input goes on in this turn, more may
// be read behind it.
void LiveConnection::on_broken() noexcept {
  if (may_read() || (engine_.has_stash() && !paused_)) return;
  read_ended_ = true;
  engine_.feed_error(Errc::connection_reset);
}

[[gnu::always_inline]] inline bool LiveConnection::may_read() const noexcept {
  return state_ == State::serving && !read_ended_ && !(paused_ && engine_.is_open()) &&
         (engine_.rests() || engine_.wants_input());
}

[[gnu::hot]] void LiveConnection::read(TurnBudget& budget) noexcept {
  std::size_t total = 0;
  while (may_read()) {
    std::span<std::byte> buffer = environment_->core.receive_buffer();
    std::span<std::byte> room = engine_.rests() ? std::span<std::byte>() : engine_.read_room();
    buffer = buffer.first(std::min<std::size_t>(buffer.size(), read_limit_));
    const std::size_t most = room.empty() ? read_budget : message_budget;
    if (total >= most) return environment_->core.again(*this);
    if (total > 0) {
      budget.charge(TurnBudget::reading);
      if (budget.count()) return environment_->core.again(*this);
    }
    if (buffer.empty()) return engine_.terminate(Errc::no_memory);
    room = room.first(std::min(room.size(), most - total));
    buffer = buffer.first(std::min(buffer.size(), most - total - room.size()));
    const std::array<iovec, 2> both{{{room.data(), room.size()}, {buffer.data(), buffer.size()}}};
    const auto into = std::span(both).subspan(room.empty() ? 1 : 0,  // those that are not empty
                                              room.empty() || buffer.empty() ? 1 : 2);
    const net::Transport::Transfer got = transport_->read(into);
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
        engine_.feed_eof();
        return pump(budget);
      case net::Transport::State::failed:
        return on_read_failed(got.error, budget);
    }
    environment_->metrics.bytes_received.add(got.bytes);
    if (interest_ != 0) environment_->core.poller().heard(*this);
    const std::size_t in_room = std::min(got.bytes, room.size());
    engine_.feed(in_room, buffer.first(got.bytes - in_room));
    pump(budget);
    flush();
    engine_.settle();
    if (budget.spent()) {
      read_limit_ = small_read;
      return;
    }
    // A short read means that the socket is empty. epoll reports what arrives later.
    if (!got.more && got.bytes < room.size() + buffer.size()) return;
    read_limit_ = whole_read;
    total += got.bytes;
  }
}

// When TLS failed, TCP works on: the alert we sent is to reach the peer, so this is an end of ours.
void LiveConnection::on_read_failed(std::error_code error, TurnBudget& budget) noexcept {
  read_ended_ = !base::is_tls_failure(error);
  if (environment_->log && !read_ended_) {
    call_application("a log of TLS", [&] {
      log(environment_->log, LogLevel::info,
          error_category().message(error.value()) + ": " + transport_->explanation(),
          remote_address());
    });
  }
  engine_.feed_error(error);
  pump(budget);
}

// Gives the session what the engine found. Where the application paused, or the budget is spent,
// the rest is kept.
[[gnu::hot]] void LiveConnection::pump(TurnBudget& budget) noexcept {
  while (state_ == State::serving) {
    if (paused_ && engine_.is_open()) return engine_.stash();
    const Event event = engine_.next();
    if (event.kind() == Event::Kind::message) {
      on_message(event);
      if (event.is_last() && engine_.is_open()) return;
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

// The same after the engine was terminated, when one event is left.
void LiveConnection::pump_end() noexcept {
  TurnBudget budget(environment_->core);
  pump(budget);
}

[[gnu::always_inline]] inline void LiveConnection::on_message(const Event& event) noexcept {
  environment_->metrics.messages_received.add();
  const bool fine = call_application(
      "on_message", [&] { session_.type()->on_message(session_.get(), *this, event.message()); });
  if (!fine) engine_.fail(Errc::handler_threw);
}

void LiveConnection::on_event(const Event& event, TurnBudget& budget) noexcept {
  switch (event.kind()) {
    case Event::Kind::working:
      return budget.charge(TurnBudget::inflating);
    case Event::Kind::request:
      budget.charge(TurnBudget::request);
      return environment_->owner.on_request(*this);
    case Event::Kind::open: {
      const SessionType* const type = session_.type();
      if (type->on_open == nullptr) return;
      if (!call_application("on_open", [&] { type->on_open(session_.get(), *this); })) {
        engine_.fail(Errc::handler_threw);
      }
      return;
    }
    case Event::Kind::closed:
      return on_closed();
    case Event::Kind::none:
    case Event::Kind::message:
    case Event::Kind::ping:
    case Event::Kind::pong:
      return;
  }
}

void LiveConnection::on_closed() noexcept {
  const CloseInfo& info = engine_.close_info();
  if (const SessionType* const type = session_.type()) {
    environment_->metrics.closed(info.code);
    if (type->on_close != nullptr) {
      call_application("on_close", [&] { type->on_close(session_.get(), *this, info); });
    }
    cancel_timers();
    session_.destroy();
  } else if (handshaking_ && info.error) {
    environment_->metrics.refused(info.error);
  }
  handshake_over();
}

void LiveConnection::handshake_over() noexcept {
  if (!handshaking_) return;
  handshaking_ = false;
  environment_->owner.on_handshake_over(*this);
}

// Writes until the socket takes no more or all is written. Calls nobody.
[[gnu::hot]] void LiveConnection::flush() noexcept {
  while (!blocked_ && state_ == State::serving) {
    const std::span<const iovec> output = engine_.output();
    if (output.empty() && !transport_->has_unsent()) return;
    const net::Transport::Transfer put =
        output.empty() ? transport_->flush() : transport_->write(output);
    if (put.state == net::Transport::State::failed) {
      read_ended_ = true;
      // Who has paused until on_drain would wait for ever.
      paused_ ? engine_.terminate(put.error) : engine_.feed_error(put.error);
      return;
    }
    if (put.state != net::Transport::State::ok) {
      blocked_ = true;
      write_needs_read_ = put.state == net::Transport::State::wait_read;
      return;
    }
    std::size_t offered = 0;
    for (const iovec& piece : output) offered += piece.iov_len;
    environment_->metrics.bytes_sent.add(put.bytes);
    engine_.consume_output(put.bytes);
    // Short: the next would only be told to wait.
    blocked_ = put.bytes < offered || transport_->has_unsent();
    if (engine_.queued_bytes() == 0) return;
  }
}

// on_drain, once the queue that was congested is short again.
void LiveConnection::drain() noexcept {
  if (!congested_ || !engine_.is_open() ||
      engine_.queued_bytes() > engine_.limits().low_water_bytes) {
    return;
  }
  congested_ = false;
  const SessionType* const type = session_.type();
  if (type == nullptr || type->on_drain == nullptr) return;
  if (!call_application("on_drain", [&] { type->on_drain(session_.get(), *this); })) {
    engine_.fail(Errc::handler_threw);
  }
  // What it sent is looked at in the next turn, so that it cannot keep the loop to itself.
  environment_->core.again(*this);
}

[[gnu::hot]] void LiveConnection::finish_turn(TurnBudget& budget) noexcept {
  if (state_ != State::serving) return;
  // Mostly all is done already.
  if (engine_.rests() && !congested_ && !paused_ && !read_ended_ && interest_ == net::readable &&
      !transport_->has_unsent()) {
    return update_timer();
  }
  in_turn_ = true;
  flush();
  engine_.settle();
  drain();
  if (!engine_.is_open() || read_ended_) {  // the latter: writing may have found it broken
    pump(budget);
    flush();
  }
  const bool finished = engine_.finished();
  if (finished) pump_end();  // the last write may be what ended it, after all was told
  in_turn_ = false;
  if (finished) return start_linger();
  if (goes_on()) environment_->core.again(*this);
  update_interest();
  update_timer();
}

// Requests may go on once the answers before them are written: with what was kept, or with what the
// transport holds. It reads no further while it cannot write what reading made it answer.
bool LiveConnection::goes_on() const noexcept {
  if (engine_.is_open()) return false;
  return engine_.has_stash() || (more_ && may_read() && !transport_->has_unsent());
}

// ---- what to wait for

// A descriptor that nothing is expected of leaves epoll: a hang-up would wake the loop for ever.
void LiveConnection::update_interest() noexcept {
  std::uint32_t wanted = 0;
  const bool serving = state_ == State::serving;
  const bool unsent = transport_->has_unsent();
  const bool waits = serving && blocked_ && engine_.queued_bytes() > 0;
  const bool discards = state_ == State::lingering && !full_;
  if (discards || may_read() || (waits && write_needs_read_)) wanted |= net::readable;
  if (unsent || (waits && !write_needs_read_)) wanted |= net::writable;
  // A connection with work for the next turn looks at its socket then. Until that it stays as it
  // is, because a change is a call of the system.
  if (static_cast<net::Watcher*>(this)->linked()) wanted |= interest_ & net::readable;
  if (wanted == interest_ || state_ == State::gone) return;
  net::Poller& poller = environment_->core.poller();
  std::error_code error;
  if (wanted == 0) {
    const bool promised = static_cast<net::Watcher*>(this)
                              ->linked();  // resume() wants one more turn, for what is kept
    poller.remove(transport_->fd(), *this);
    if (promised) environment_->core.again(*this);
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
  if (state_ != State::serving) return;
  try {
    environment_->core.timers().arm_no_later(*this, engine_.deadline());
  } catch (const std::bad_alloc&) {
    engine_.terminate(Errc::no_memory);
    pump_end();
    die();
  }
}

}  // namespace tern::connection
