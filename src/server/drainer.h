// The part of a worker that ends its connections one after the other.
#pragma once

#include "connection/live_connection.h"
#include "connection/registry.h"
#include "net/loop_core.h"
#include "net/timers.h"
#include "server/drain_plan.h"
#include "server/parked.h"
#include "server/sweep.h"

#include <cstdint>

namespace tern::server {

class Core;

/// Closes the open connections of a worker at the times of a DrainPlan, and stops the server at the
/// deadline. Lifetime: until the loop has ended, because the sweep may still call it. Thread: the
/// worker's.
class Drainer final : private net::Timer {
 public:
  Drainer(Core& core, net::LoopCore& loop, connection::Registry& registry, Sweep& sweep,
          const DrainOrder& order) noexcept;
  Drainer(const Drainer&) = delete;
  Drainer& operator=(const Drainer&) = delete;
  ~Drainer() { stop(); }

  void begin() noexcept;
  /// Closes no more connections.
  void stop() noexcept;
  /// A connection has opened after the drain began. It closes as the others do.
  void on_opened(connection::LiveConnection& connection) noexcept;

 private:
  enum class Phase : std::uint8_t {
    closing_some,  // the spread goes on
    closed_all,    // each connection that opens is closed at once
    stopped,
  };

  void on_timer(net::Timer::time_point now) noexcept override;
  void add(connection::LiveConnection& connection) noexcept;
  void arm() noexcept;
  void close_due(net::Timer::time_point now) noexcept;
  void close_rest() noexcept;
  void end(connection::LiveConnection& connection) noexcept;

  Core& core_;
  net::LoopCore& loop_;
  connection::Registry& registry_;
  Sweep& sweep_;
  const Farewell farewell_;
  const net::Timer::time_point deadline_;
  DrainPlan plan_;
  IdleOrder order_;
  Phase phase_ = Phase::closing_some;
};

}  // namespace tern::server
