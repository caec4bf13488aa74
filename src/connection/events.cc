// The events of an engine, given to the session and to the owner. Everything here runs inside of a
// turn, see live_connection.cc.
#include "connection/extras.h"
#include "connection/live_connection.h"
#include "net/socket.h"

#include <utility>

namespace tern::connection {

void LiveConnection::on_event(Event event, TurnBudget& budget) noexcept {
  switch (event.kind()) {
    case Event::Kind::working:
      return budget.charge(TurnBudget::inflating);
    case Event::Kind::pull:
      budget.charge(TurnBudget::pulling);
      return pull_body();
    case Event::Kind::request:
    case Event::Kind::body:
      budget.charge(TurnBudget::request);
      return environment_->owner.on_head(*this);
    case Event::Kind::open:
      return on_open();
    case Event::Kind::ping:
      return on_ping(event.message());
    case Event::Kind::pong:
      return on_pong(event.message());
    case Event::Kind::closed:
      return on_closed();
    case Event::Kind::none:
    case Event::Kind::message:
      return;
  }
}

// A body that cannot go on must not look complete. For HTTP/1.0 its end is the end of TCP, so TCP
// is reset.
void LiveConnection::pull_body() noexcept {
  if (call_application("the body of an answer", [&] { engine_.pull(); })) return;
  mute_ = true;
  net::reset_on_close(transport_->fd());
}

void LiveConnection::on_open() noexcept {
  active_at_ = environment_->core.moment();
  shows_head_ = true;
  const bool fine = open_session();
  shows_head_ = false;
  if (!fine) return engine_.fail(Errc::handler_threw);
  environment_->owner.on_opened(*this);
}

// A server's owner made the session when it accepted the request. A client's owner makes it now.
bool LiveConnection::open_session() noexcept {
  if (!session_) environment_->owner.on_head(*this);
  const SessionType* const type = session_.type();
  if (type == nullptr) return false;
  end_opening();
  return type->on_open == nullptr ||
         call_application("on_open", [&] { type->on_open(session_.get(), *this); });
}

void LiveConnection::on_ping(Message payload) noexcept {
  const SessionType* const type = session_.type();
  if (type == nullptr || type->on_ping == nullptr) return;
  if (!call_application("on_ping",
                        [&] { type->on_ping(session_.get(), *this, payload.bytes()); })) {
    engine_.fail(Errc::handler_threw);
  }
}

void LiveConnection::on_pong(Message payload) noexcept {
  const SessionType* const type = session_.type();
  if (type == nullptr || type->on_pong == nullptr) return;
  if (!call_application("on_pong",
                        [&] { type->on_pong(session_.get(), *this, payload.bytes()); })) {
    engine_.fail(Errc::handler_threw);
  }
}

void LiveConnection::watch_peer(std::shared_ptr<std::atomic<bool>> left) {
  if (read_ended_) left->store(true);
  make_extras().peer_left = std::move(left);
}

void LiveConnection::tell_peer_left() noexcept {
  if (extras_->peer_left != nullptr) extras_->peer_left->store(true);
}

// An idle connection has no extras again, if they had nothing else.
void LiveConnection::forget_watch() noexcept {
  if (extras_->peer_left == nullptr) return;
  extras_->peer_left.reset();
  if (extras_->empty()) extras_.reset();
}

void LiveConnection::on_closed() noexcept {
  if (extras_) tell_peer_left();
  if (const SessionType* const type = session_.type()) {
    const CloseInfo& info = engine_.close_info();
    environment_->metrics.closed(info.code);
    leave_topics();
    if (type->on_close != nullptr) {
      call_application("on_close", [&] { type->on_close(session_.get(), *this, info); });
    }
    cancel_timers();
    session_.destroy();
  }
  environment_->owner.on_closed(*this);
  end_opening();
}

void LiveConnection::end_opening() noexcept {
  if (state_ != State::opening) return;
  state_ = State::serving;
  environment_->owner.on_opening_over(*this);
}

// The owner may answer inside of pump, which then goes on by itself, or later.
void LiveConnection::head_answered() noexcept {
  if (extras_) forget_watch();
  end_opening();
  if (!in_turn_ && engine_runs()) environment_->core.again(*this);
}

// Calls on_drain once the queue that was congested is short again.
void LiveConnection::drain() noexcept {
  if (!congested_ || !engine_.is_open() ||
      engine_.queued_bytes() > engine_.limits().low_water_bytes) {
    return;
  }
  congested_ = false;
  const std::size_t before = engine_.queued_bytes();
  if (extras_) report_gaps();
  environment_->owner.on_drained(*this);
  const SessionType* const type = session_.type();
  const bool calls = !congested_ && type != nullptr && type->on_drain != nullptr;
  if (calls && !call_application("on_drain", [&] { type->on_drain(session_.get(), *this); })) {
    engine_.fail(Errc::handler_threw);
  }
  // The next turn handles what they sent, so that they cannot keep the loop to themselves.
  if (calls || engine_.queued_bytes() != before) environment_->core.again(*this);
}

}  // namespace tern::connection
