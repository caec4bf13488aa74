// One loop of a server: its listener, its connections, its memory.
#pragma once

#include "tern/engine.h"
#include "tern/loop.h"

#include "connection/environment.h"
#include "connection/live_connection.h"
#include "server/core.h"
#include "server/listener.h"
#include "tls/scratch.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <system_error>

namespace tern::server {

class Worker final : private connection::Owner,
                     private Acceptor,
                     private net::Watcher,
                     private net::Timer {
 public:
  /// The first of a server ends when all others have ended: it is the one that hears signals.
  Worker(Core& core, connection::Metrics& metrics, bool first);
  ~Worker();

  std::error_code listen(net::Fd socket) noexcept;
  /// Serves until the server is stopped, and then until its connections are gone.
  Result<void> run() noexcept;
  /// Closes the listener and cuts off what is left: it will not run again.
  void end() noexcept;
  Loop& loop() noexcept { return loop_; }

 private:
  struct Begun {
    std::uint32_t slot;
    std::uint32_t generation;
    net::Timer::time_point at;
  };

  // Owner
  void on_request(connection::LiveConnection& connection) noexcept override;
  void on_handshake_over(connection::LiveConnection& connection) noexcept override;
  void on_gone(connection::LiveConnection& connection) noexcept override;
  std::string_view route_name(std::uint16_t route) const noexcept override;
  // Acceptor
  Verdict on_accepted(net::Fd socket) noexcept override;
  bool may_accept() noexcept override;
  void on_trouble(std::error_code error, bool for_good) noexcept override;
  // The server's stop event, and the deadline of the stop
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;

  static bool asks_for_upgrade(const connection::LiveConnection& connection) noexcept;
  void answer(connection::LiveConnection& connection);
  void serve_page(connection::LiveConnection& connection, Route& route, const Request& request);
  void serve_websocket(connection::LiveConnection& connection, Route& route,
                       const Request& request);
  void send_no_room(int socket) noexcept;
  void tell_wall_clock() noexcept;
  connection::LiveConnection* serve(net::Fd socket) noexcept;
  const Begun* oldest_unfinished() noexcept;
  void drop_oldest_unfinished() noexcept;
  void begin_stop() noexcept;
  void keep_deadline() noexcept;
  void finish_if_deserted() noexcept;

  Core& core_;
  Loop loop_;
  Workspace workspace_{};
  tls::Scratch scratch_{&loop_.core()};
  connection::Metrics& metrics_;
  connection::Environment environment_;
  Listener listener_;
  std::deque<Begun> begun_{};  // handshakes in the order of their start; finished ones may linger
  const bool first_;
  net::Timer::time_point wall_clock_told_{};
  bool stopping_ = false;
};

}  // namespace tern::server
