// Accepts connections from the port as long as there is room for them.
#pragma once

#include "net/fd.h"
#include "net/loop_core.h"
#include "net/poller.h"
#include "net/timers.h"
#include "server/places.h"

#include <cstdint>
#include <deque>
#include <system_error>

namespace tern::server {

/// The receiver of accepted sockets.
class Acceptor {
 public:
  enum class Verdict : std::uint8_t { taken, full };
  /// Takes the socket. With `full` the socket is closed and the listener pauses.
  virtual Verdict on_accepted(net::Fd socket, PlaceKind from) noexcept = 0;
  /// Returns whether one more connection may be accepted now.
  virtual bool may_accept() noexcept = 0;
  /// Accepting failed and pauses, or `for_good` has ended. A pause is reported once, until a
  /// connection is accepted again.
  virtual void on_trouble(std::error_code error, bool for_good) noexcept = 0;

 protected:
  ~Acceptor() = default;
};

class Listener final : private net::Watcher, private net::Timer {
 public:
  Listener(net::LoopCore& core, Acceptor& acceptor, PlaceKind kind = {}) noexcept
      : core_(core), acceptor_(acceptor), kind_(kind) {}
  ~Listener() { stop(); }

  std::error_code start(net::Fd socket) noexcept;
  /// Accepts no more from a socket that another program opened, and keeps it open, so that the
  /// connections in its queue wait for that program. Does nothing on another socket.
  void leave_to_others() noexcept;
  /// Closes the socket. If no other program has it, the port is free, and the connections in its
  /// queue are reset.
  void stop() noexcept;

 private:
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;
  void pause() noexcept;

  net::LoopCore& core_;
  Acceptor& acceptor_;
  const PlaceKind kind_;
  net::Fd socket_{};
  bool in_trouble_ = false;
  bool left_ = false;  // to others
};

}  // namespace tern::server
