// How a connection begins and how it dies. In between it owns itself: nothing else frees it. It is
// freed only at the end of a turn, when none of its functions runs any more.
#include "base/assert.h"
#include "connection/extras.h"
#include "connection/live_connection.h"

#include <new>

namespace tern::connection {

// With the heap's 8 bytes, a place in the registry and one among the timers, an idle connection
// takes 257 bytes. One member more makes that 273.
static_assert(sizeof(void*) != 8 || sizeof(LiveConnection) <= 216);

template <class T>
LiveConnection* LiveConnection::start_any(T transport, Engine&& engine,
                                          Environment& environment) noexcept {
  auto* connection =
      new (std::nothrow) LiveConnection(std::move(transport), std::move(engine), environment);
  if (connection == nullptr) return nullptr;
  try {
    connection->slot_ = environment.shared.registry->add(*connection).slot;
  } catch (const std::bad_alloc&) {
    delete connection;
    return nullptr;
  }
  environment.metrics.connections_begun.add();
  connection->engine_.tick(environment.core.now(), PeerProgress{});
  connection->update_interest();
  connection->update_timer();
  // There is a request to write, or the deadline of the handshake has passed before it began.
  if (connection->engine_.queued_bytes() > 0 || connection->engine_.finished()) {
    connection->defer_to_turn_end();
  }
  return connection;
}

template LiveConnection* LiveConnection::start_any(net::Fd, Engine&&, Environment&) noexcept;
template LiveConnection* LiveConnection::start_any(std::unique_ptr<net::Transport>, Engine&&,
                                                   Environment&) noexcept;

LiveConnection::~LiveConnection() { TERN_ASSERT(!armed()); }

// The session and the owner have received the end before: each caller makes sure of it.
void LiveConnection::die() noexcept {
  if (state_ == State::gone) return;
  TERN_DEBUG_ASSERT(!session_ && !is_opening());
  state_ = State::gone;
  if (interest_ != 0) environment_->core.poller().remove(transport_->fd(), *this);
  interest_ = 0;
  static_cast<net::Watcher*>(this)->unlink();
  environment_->core.timers().cancel(*this);
  cancel_timers();
  leave_topics();
  environment_->shared.registry->remove(slot_);
  environment_->metrics.connections_ended.add_last();
  environment_->core.retire(*this);
  environment_->owner.on_gone(*this);
}

// An answer or a Close frame that waits is written if the socket takes it now.
void LiveConnection::abandon() noexcept {
  if (engine_runs() && engine_.queued_bytes() > 0) {
    flush();
    if (engine_.queued_bytes() == 0 && !transport_->has_unsent()) transport_->shutdown_write();
  }
  engine_.terminate(Errc::closed);
  pump_end();
  die();
}

}  // namespace tern::connection
