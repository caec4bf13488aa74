// How a connection begins and how it dies. Between the two it belongs to itself: nobody else frees
// it, and it is freed at the end of a turn only, when no function of it runs any more.
#include "base/assert.h"
#include "connection/live_connection.h"

#include <new>

namespace tern::connection {

template <class T>
LiveConnection* LiveConnection::start(T transport, Environment& environment) noexcept {
  auto engine = Engine::server(environment.options, environment.workspace);
  if (!engine) return nullptr;
  auto* connection =
      new (std::nothrow) LiveConnection(std::move(transport), environment, std::move(*engine));
  if (connection == nullptr) return nullptr;
  try {
    connection->slot_ = environment.registry->add(*connection).slot;
  } catch (const std::bad_alloc&) {
    delete connection;
    return nullptr;
  }
  environment.metrics.connections_accepted.add();
  connection->engine_.tick(environment.core.now(), Delivery{});
  connection->update_interest();
  connection->update_timer();
  return connection;
}

template LiveConnection* LiveConnection::start(net::Fd, Environment&) noexcept;
template LiveConnection* LiveConnection::start(std::unique_ptr<net::Transport>,
                                               Environment&) noexcept;

LiveConnection::~LiveConnection() { TERN_ASSERT(!armed()); }

// The session has heard its end before: whoever calls this has seen to it.
void LiveConnection::die() noexcept {
  if (state_ == State::gone) return;
  TERN_DEBUG_ASSERT(!session_);
  state_ = State::gone;
  if (interest_ != 0) environment_->core.poller().remove(transport_->fd(), *this);
  interest_ = 0;
  static_cast<net::Watcher*>(this)->unlink();
  environment_->core.timers().cancel(*this);
  cancel_timers();
  environment_->registry->remove(slot_);
  environment_->metrics.connections_ended.add_last();
  environment_->owner.on_gone(*this);
  environment_->core.retire(*this);
}

void LiveConnection::abandon() noexcept {
  engine_.terminate(Errc::closed);
  pump_end();
  die();
}

void LiveConnection::part() noexcept {
  if (state_ == State::lingering) return die();
  close(CloseCode::going_away, {});
}

void LiveConnection::give_up(std::error_code why) noexcept {
  terminate(why);
  environment_->metrics.refused(why);
  handshake_over();
}

}  // namespace tern::connection
