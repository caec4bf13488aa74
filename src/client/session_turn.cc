// The part of Session that waits, and the work of one turn. See session.cc.
#include "base/assert.h"
#include "client/session.h"
#include "net/event.h"

#include <algorithm>
#include <array>
#include <new>

namespace tern::client {
namespace {

// The reads of a sending thread before it sends. Further input is left for later.
constexpr int max_reads = 4;

}  // namespace

// ---- waiting

void Session::wait(Lock& lock, Clock::time_point until) {
  if (judge()) return;
  if (!driving_) return drive(lock, until);
  const bool too_little = (interest() & ~polled_) != 0 || engine_->deadline() < polled_until_;
  if (too_little) net::signal_event(bell_.fd.get());
  if (until == Clock::time_point::max()) {
    changed_.wait(lock);
  } else {
    changed_.wait_until(lock, until);
  }
}

void Session::drive(Lock& lock, Clock::time_point until) {
  TERN_ASSERT(has_tcp());
  if ((more_ || write_error_) && wants_read()) {
    turn(true);
  } else {
    driving_ = true;
    polled_ = interest();
    polled_until_ = std::min(until, engine_->deadline());
    if (readers_ == 0 && receives_until_ > Clock::now()) {
      polled_until_ = std::min(polled_until_, receives_until_);
    }
    std::array<pollfd, 2> polled{{{transport_->fd(), polled_, 0}, {bell_.fd.get(), POLLIN, 0}}};
    lock.unlock();
    poll_until(polled, polled_until_);
    lock.lock();
    driving_ = false;
    polled_ = 0;
    if (polled[1].revents != 0) net::clear_event(bell_.fd.get());
    if (tcp_over_) {
      transport_.reset();
    } else {
      turn((polled[0].revents & ~POLLOUT) != 0);
    }
  }
  changed_.notify_all();
}

// Wakes all waiting threads. One of them may be in poll.
void Session::report() noexcept {
  changed_.notify_all();
  if (driving_) net::signal_event(bell_.fd.get());
}

void Session::turn(bool readable) {
  engine_->advance(Clock::now());
  if (readable && wants_read()) read();
  take_in();
  if (has_tcp()) flush();
}

// Returns whether a thread that only sends also reads messages, for the thread that receives later.
bool Session::takes_in() const noexcept { return has_room() && Clock::now() >= receives_until_; }

bool Session::wants_read() const noexcept {
  if (input_over_ || !has_tcp()) return false;
  if (end_error_) return readers_ > 0;
  if (readers_ == 0 && !takes_in()) return false;
  return !fed_ && engine_->wants_input();
}

short Session::interest() const noexcept {
  const bool writes = !write_error_ && engine_->queued_bytes() > 0;
  const bool unsent = !write_error_ && has_unsent();
  const auto awaited = connection::readiness_to_await(wants_read(), writes, unsent, blocked_);
  return static_cast<short>((awaited.readable ? POLLIN : 0) | (awaited.writable ? POLLOUT : 0));
}

// ---- a turn

// Judges the peer if a deadline has passed. Returns true if it did, so that the caller looks again.
// Input that has arrived is read once before, and only once, so that a peer that never stops
// sending is judged as well.
bool Session::judge() noexcept {
  const auto now = Clock::now();
  engine_->advance(now);
  const bool over = engine_->deadline() > now;
  if (over) judges_next_ = false;
  if (over || (fed_ && readers_ > 0)) return false;  // a receiving thread takes it next
  bool has_input = fed_ || more_;
  if (!has_input && has_tcp()) {
    pollfd socket{transport_->fd(), POLLIN, 0};
    has_input = poll_until({&socket, 1}, now);
  }
  if (has_input && !judges_next_ && wants_read()) {
    judges_next_ = true;
    read();
    take_in();
    return true;
  }
  judges_next_ = false;
  flush();
  if (has_input) engine_->reading(false);
  engine_->tick(now, delivery());
  if (has_input) engine_->reading(true);
  return true;
}

// Reads the available input, for a thread that does not receive.
void Session::look(bool at_once) noexcept {
  const auto now = Clock::now();
  engine_->advance(now);
  if (!driving_ && readers_ == 0 && (at_once || now - looked_at_ >= look_every)) {
    take_in();
    for (int reads = 0; reads == 0 || (more_ && reads < max_reads); ++reads) {
      if (wants_read()) read();
      take_in();
    }
    flush();
  }
  if (!end_error_) judge();
}

void Session::read() noexcept {
  looked_at_ = Clock::now();
  engine_->settle();
  const connection::ReadSpace space(engine_->read_room(), {buffer_.get(), buffer_bytes});
  const auto got = space.read(*transport_);
  more_ = space.may_have_more(got);
  using State = net::Transport::State;
  switch (got.state) {
    case State::ok:
      if (end_error_) return;  // bytes after the end are dropped
      space.feed(*engine_, got.bytes);
      break;
    case State::wait_read:
    case State::wait_write:
      if (!write_error_) return;
      [[fallthrough]];  // all input from before the failed write is read
    case State::end:
      input_over_ = true;
      // RFC 6455 §7.1.5: without a Close frame, the two cases are different ends.
      write_error_ ? engine_->feed_error(*write_error_) : engine_->feed_eof();
      break;
    case State::failed:
      input_over_ = true;
      close_lost_ = got.error == Errc::connection_reset && delivery().waiting > 0;
      engine_->feed_error(got.error);
      break;
  }
  fed_ = true;
}

// Writes as much as possible without waiting; returns true if it wrote something. A failure is
// reported to the engine only after the input has ended, because the peer may have sent a Close
// frame with its reason.
bool Session::flush() noexcept {
  bool wrote = false;
  if (has_tcp() && !write_error_) {
    const connection::Written done = connection::write_output(*engine_, *transport_);
    wrote = done.any;
    blocked_ = done.blocked;
    if (done.error) {
      write_error_ = done.error;
      report();
    }
  }
  // A fault that we found was reported in a Close frame. The peer reads it before it sees the end
  // of TCP.
  if (end_error_ && has_tcp() && !fin_sent_ && engine_->finished() && has_close_arrived()) {
    transport_->shutdown_write();
    fin_sent_ = true;
  }
  if (wrote) (polled_ & POLLOUT) != 0 ? report() : changed_.notify_all();
  return wrote;
}

// Returns the next message, or the opening; nothing if all is read or the end was reported.
Event Session::pull() noexcept {
  for (;;) {
    const Event event = engine_->next();
    switch (event.kind()) {
      case Event::Kind::message:
      case Event::Kind::open:
        return event;
      case Event::Kind::closed:
        on_end();
        break;
      case Event::Kind::none:
        fed_ = false;
        if (!write_error_ || end_error_ || engine_->wants_input()) return {};
        engine_->feed_error(*write_error_);
        break;
      default:
        break;  // the engine has answered pings
    }
  }
}

// Keeps messages that no thread waits for. Pings are answered, too.
void Session::take_in() noexcept {
  while (readers_ == 0 && fed_ && takes_in()) {
    const Event event = pull();
    if (event.kind() != Event::Kind::message) return;
    try {
      inbox_.push_back({event.message().type(), std::string(event.message().text())});
      inbox_bytes_ += inbox_.back().payload.size() + sizeof(Waiting);
    } catch (const std::bad_alloc&) {
      engine_->terminate(Errc::no_memory);
    }
  }
}

void Session::drop_inbox() noexcept {
  inbox_.clear();
  inbox_bytes_ = 0;
}

}  // namespace tern::client
