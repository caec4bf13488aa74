// The order of the connections is built in slices, because a worker may have very many. Until it is
// complete, the plan spreads the connections that are known.
#include "server/drainer.h"

#include "base/later.h"
#include "server/core.h"

#include <algorithm>
#include <new>
#include <optional>

namespace tern::server {

using connection::LiveConnection;

Drainer::Drainer(Core& core, net::LoopCore& loop, connection::Registry& registry, Sweep& sweep,
                 const DrainOrder& order) noexcept
    : core_(core),
      loop_(loop),
      registry_(registry),
      sweep_(sweep),
      farewell_(order.farewell),
      deadline_(base::later(loop.now(), order.deadline)),
      plan_(loop.now(), base::later(loop.now(), std::min(order.spread, order.deadline))),
      order_(loop.moment()) {}

void Drainer::begin() noexcept {
  if (plan_.is_over(loop_.now())) return on_timer(loop_.now());
  try {
    sweep_.add([this](LiveConnection& connection) { add(connection); });
  } catch (const std::bad_alloc&) {  // then all of them close at the end of the spread
  }
  arm();
}

void Drainer::stop() noexcept {
  phase_ = Phase::stopped;
  loop_.timers().cancel(*this);
}

void Drainer::on_opened(LiveConnection& connection) noexcept {
  phase_ == Phase::closing_some ? add(connection) : end(connection);
}

// A connection for which there is no memory closes at the end of the spread.
void Drainer::add(LiveConnection& connection) noexcept {
  if (phase_ != Phase::closing_some || !connection.engine().is_open()) return;
  try {
    order_.add(connection.place(), connection.active_at());
  } catch (const std::bad_alloc&) {
    return;
  }
  arm();
}

void Drainer::arm() noexcept {
  const auto due = phase_ == Phase::closing_some ? plan_.next(order_.size()) : deadline_;
  try {
    loop_.timers().arm(*this, std::min(due, deadline_));
  } catch (const std::bad_alloc&) {
    core_.end_drain();
  }
}

void Drainer::on_timer(net::Timer::time_point now) noexcept {
  if (now >= deadline_) return core_.end_drain();
  if (phase_ == Phase::closing_some) {
    plan_.is_over(now) ? close_rest() : close_due(now);
  }
  arm();
}

void Drainer::close_due(net::Timer::time_point now) noexcept {
  const auto active_at = [this](IdleOrder::Place place) -> std::optional<IdleOrder::Moment> {
    const LiveConnection* const found = registry_.find(place.slot, place.generation);
    if (found == nullptr || !found->engine().is_open()) return {};
    return found->active_at();
  };
  for (std::size_t left = plan_.due(now, order_.size()); left > 0; --left) {
    const auto place = order_.take(active_at);
    if (!place) return;
    end(*registry_.find(place->slot, place->generation));
  }
}

// Also ends connections of HTTP that wait for another request.
void Drainer::close_rest() noexcept {
  phase_ = Phase::closed_all;
  try {
    sweep_.add([this](LiveConnection& connection) { end(connection); });
  } catch (const std::bad_alloc&) {
    registry_.for_each([this](LiveConnection& connection) { end(connection); });
  }
}

// A request that has no answer yet is finished. So is one that a new connection is about to send.
void Drainer::end(LiveConnection& connection) noexcept {
  if (phase_ == Phase::stopped) return;
  const Engine& engine = connection.engine();
  const bool has_request = !engine.is_open() && !engine.request().method().empty();
  if (connection.is_lingering() || connection.is_opening() || has_request) return;
  connection.close(farewell_.code, farewell_.reason());
}

}  // namespace tern::server
