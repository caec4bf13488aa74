// One loop of a server with its listener, its connections and their memory.
#pragma once

#include "tern/engine.h"
#include "tern/loop.h"

#include "connection/environment.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"
#include "server/core.h"
#include "server/drainer.h"
#include "server/file_cache.h"
#include "server/listener.h"
#include "server/sweep.h"
#include "tls/scratch.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace tern::server {

class Worker final : private connection::Owner,
                     private Acceptor,
                     private net::Watcher,
                     private net::Timer {
 public:
  /// The first worker of a server takes its signals, and ends when all others have ended.
  Worker(Core& core, connection::Metrics& metrics, std::size_t index);
  ~Worker();

  /// Accepts from this socket as well. Throws std::bad_alloc.
  std::error_code listen(PlaceKind kind, net::Fd socket);
  /// Serves until the server is stopped, and then until its connections are gone.
  Result<void> run() noexcept;
  /// Prepares for LoopCore::step(), in place of run(). Only a TestServer does so.
  std::error_code begin_steps() noexcept;
  void end_steps() noexcept;
  /// Serves a connected socket that no listener accepted.
  void serve_given(net::Fd socket) noexcept;
  /// Closes the listener and ends the connections that are left. The worker cannot run again.
  void end() noexcept;
  Loop& loop() noexcept { return loop_; }
  /// The number of publications that wait for it or for its subscribers. Thread: any.
  std::size_t waiting_publications() const noexcept { return fanout_.inbox().waiting(); }
  const topics::Inbox& inbox() const noexcept { return fanout_.inbox(); }
  /// See Fanout::on_history(). Tells the subscriptions in this turn and the next ones. Thread: the
  /// loop's.
  void on_history(const topics::TopicRef& topic, bool known, std::size_t count) noexcept;
  /// Begins to call LiveConnection::tell_bridge_gaps() of all connections. Thread: the loop's.
  void tell_bridge_gaps() noexcept;
  /// Calls `function` for all open connections, a part of them in each turn. Throws std::bad_alloc.
  /// Thread: the loop's.
  void for_each(std::shared_ptr<UniqueFunction<void(Connection&)>> function);

 private:
  enum class State : std::uint8_t { serving, draining, stopping };
  struct Begun {
    std::uint32_t slot;
    std::uint32_t generation;
    net::Timer::time_point at;
  };

  // Owner
  void on_head(connection::LiveConnection& connection) noexcept override;
  void on_opening_over(connection::LiveConnection& connection) noexcept override;
  void on_opened(connection::LiveConnection& connection) noexcept override;
  void on_closed(connection::LiveConnection& connection) noexcept override;
  void on_gone(connection::LiveConnection& connection) noexcept override;
  std::string_view name_of(std::uint16_t label) const noexcept override;
  // Acceptor
  Verdict on_accepted(net::Fd socket, PlaceKind from) noexcept override;
  bool may_accept() noexcept override;
  void on_trouble(std::error_code error, bool for_good) noexcept override;
  // The server's stop event, and the deadline of the stop
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(net::Timer::time_point now) noexcept override;

  [[gnu::cold]] void turn_away(int socket, PlaceKind from, std::string_view status) noexcept;
  [[gnu::cold]] void keep_client(const connection::LiveConnection& connection,
                                 ClientKey client) noexcept;
  [[gnu::cold]] void forget_client(std::size_t slot) noexcept;
  [[gnu::cold]] bool may_upgrade(connection::LiveConnection& connection) noexcept;
  bool count_upgrade(const connection::LiveConnection& connection);
  [[gnu::cold]] std::optional<ClientKey> direct_client(int socket) const noexcept;
  bool is_counted(const connection::LiveConnection& connection) const noexcept;
  void set_wall_clock() noexcept;
  connection::LiveConnection* serve(net::Fd socket, PlaceKind from) noexcept;
  void stop_listening() noexcept;
  const Begun* oldest_unfinished() noexcept;
  void drop_oldest_unfinished() noexcept;
  bool go_on_with_history(const topics::TopicRef& topic, bool known, std::size_t count) noexcept;
  void begin_drain(const DrainOrder& order) noexcept;
  void begin_stop() noexcept;
  void say_goodbye(connection::LiveConnection& connection, const Farewell& farewell) noexcept;
  void keep_deadline() noexcept;
  void finish_if_deserted() noexcept;

  Core& core_;
  Loop loop_;
  Workspace workspace_{};
  tls::Scratch scratch_{&loop_.core()};
  connection::Metrics& metrics_;
  connection::Fanout fanout_;
  // A drain changes them, so each worker has its own.
  EngineOptions plain_options_;
  EngineOptions secure_options_;
  connection::Shared shared_;
  connection::Environment environment_;
  std::deque<Listener> listeners_{};
  bool gaps_wait_ = false;  // a sweep that tells them has not begun
  Sweep sweep_;
  FileCache file_cache_{};
  std::optional<Drainer> drainer_{};
  std::deque<Begun> begun_{};  // handshakes in the order of their start; some may be over
  std::vector<std::optional<ClientKey>> clients_{};  // that are counted, by slot
  const bool first_;
  net::Timer::time_point wall_clock_set_{};
  State state_ = State::serving;
};

}  // namespace tern::server
