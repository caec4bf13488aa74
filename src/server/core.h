// The part of a server that all its workers share.
#pragma once

#include "tern/server.h"

#include "connection/metrics.h"
#include "net/fd.h"
#include "net/fork_mark.h"
#include "net/mailbox.h"
#include "net/signal_claim.h"
#include "net/timers.h"
#include "server/address_limits.h"
#include "server/bridges.h"
#include "server/parked.h"
#include "server/places.h"
#include "server/router.h"
#include "server/trusted_peers.h"
#include "tls/context.h"
#include "topics/table.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace tern::server {

class Worker;

class Core {
 public:
  explicit Core(ServerOptions given);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Returns the route to fill in. While the server runs, it logs that the route is ignored and
  /// returns null. Throws std::bad_alloc.
  Route* add_route(std::string path, Router::Kind kind);
  Result<void> listen() noexcept;
  Result<void> run() noexcept;
  void stop(std::chrono::nanoseconds deadline, CloseCode code = CloseCode::going_away,
            std::string_view reason = {}) noexcept;
  void drain(const Drain& how) noexcept;
  /// Returns whether drain() or stop() was called for this run. Thread: any.
  bool is_ending() const noexcept { return drain_.get() != nullptr || stop_at() != not_stopped; }
  /// Begins to serve without a listener and without a thread: the caller drives the loop of the one
  /// worker by LoopCore::step(). Lifetime of the worker: until end_steps(). Errors: as listen().
  Result<Worker*> begin_steps();
  void end_steps() noexcept;
  Counters counters() const;
  std::vector<std::string> addresses() const;
  /// Returns whether the server runs, and then logs that `what` is ignored. After begin_steps() it
  /// throws std::runtime_error instead. Throws std::bad_alloc.
  bool is_too_late(std::string_view what);
  bool post_all(UniqueFunction<void()> function) noexcept;
  bool for_each(UniqueFunction<void(Connection&)> function) noexcept;
  /// The answer to Outlet::ask() is there: all workers go on with it. Returns false if memory is
  /// out; then some do not know it, and to tell all again is harmless. Thread: any.
  bool tell_history(const topics::TopicRef& topic, bool known) noexcept;
  /// Tells all connections of the gaps of bridges that they do not know. The result is as above.
  /// Thread: any.
  bool tell_bridge_gaps() noexcept;
  /// Calls the functions of Server::on_worker_start().
  void call_worker_started(Loop& loop) noexcept;
  Result<void> reload_certificates();
  /// Returns the certificates for new connections; null for plain TCP. Thread: any.
  std::shared_ptr<tls::ServerContext> tls_context() const noexcept;

  // These are set before the workers run.
  ServerOptions options;
  Router router{};
  std::vector<UniqueFunction<void(Loop&)>> on_worker_start{};
  UniqueFunction<void(std::string_view, TopicEvent)> on_topic{};
  const std::shared_ptr<topics::Table> topics;
  std::size_t max_connections;
  TrustedPeers trusted_proxies;       // from options.trusted_proxies
  TrustedPeers proxy_protocol_peers;  // from options.proxy_protocol
  AddressLimits address_limits;
  Bridges bridges{*this};

  // Counts of the whole server. Each worker has its own for all others.
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> unfinished{0};
  std::atomic<std::size_t> draining_workers{0};

  std::atomic<std::uint16_t> port{0};

  bool running() const noexcept { return running_; }
  using TimePoint = net::Timer::time_point;
  /// The value of stop_at() without a stop. A stop without a deadline has the moment before.
  static constexpr TimePoint not_stopped = TimePoint::max();

  /// The eventfd to which stop() writes, and a worker that ends. Many workers wait for it, so they
  /// watch for edges and do not read from it.
  int stop_event() const noexcept { return stop_event_.get(); }
  /// The time at which the connections that are left are ended. Thread: any.
  TimePoint stop_at() const noexcept {
    return TimePoint(TimePoint::duration(stop_at_.load(std::memory_order_acquire)));
  }
  /// The drain that was requested; null if there is none. Lifetime: until the end of run().
  const DrainOrder* drain_order() const noexcept { return drain_.get(); }
  /// The code and the reason with which a stop closes connections.
  Farewell farewell() const noexcept;
  /// Stops the server at once, because its connections are gone or the deadline has passed.
  void end_drain() noexcept;
  /// Does it if all workers drain and no connection is left.
  void end_drain_if_deserted() noexcept;
  /// The number of workers that still serve, without the first. Thread: any.
  std::size_t others_running() const noexcept { return others_running_.load(); }

 private:
  class Threads;

  Result<void> open_sockets();
  Result<void> open_all_places();
  Result<void> claim_signals();
  std::vector<int> signals_taken() const;
  void on_stop_signal(bool first);
  void on_hangup();
  void end_by(TimePoint end) noexcept;
  Result<void> make_workers();
  Result<void> serve();
  Result<void> check();
  Result<void> run_workers();
  Result<void> run_other(std::size_t index) noexcept;
  template <class Make>
  bool post_to_all(Make&& make);
  template <class Make>
  bool post_unbounded(Make&& make) noexcept;
  Result<void> begin_bridges();
  void end_bridges() noexcept;
  void listen_to_topics();
  void post_topic_changes(net::Mailbox& mailbox) noexcept;
  void tell_topic_changes(TimePoint end) noexcept;
  void end_run() noexcept;

  // One for each worker, kept when the workers are made anew. The vector does not change after the
  // constructor, so that any thread may call counters().
  std::vector<std::unique_ptr<connection::Metrics>> metrics_{};
  std::vector<Place> places_{};                     // from listen() to the end of run()
  std::vector<std::unique_ptr<Worker>> workers_{};  // of the last run()
  net::ForkMark opened_here_{};                     // by this process, not by its parent
  net::SignalClaim claim_{};  // for signals_taken(), from listen() to the end of run()

  mutable std::mutex reachable_mutex_{};
  std::vector<Worker*> reachable_{};  // guarded by reachable_mutex_: all workers while they run

  mutable std::mutex addresses_mutex_{};
  std::vector<std::string> addresses_{};  // guarded by addresses_mutex_: names of places_

  mutable std::mutex tls_mutex_{};
  std::shared_ptr<tls::ServerContext> tls_context_{};  // guarded by tls_mutex_
  net::ForkMark fork_mark_{};
  net::Fd stop_event_;
  std::error_code stop_error_{};  // the reason why the eventfd could not be made
  std::atomic<TimePoint::rep> stop_at_{not_stopped.time_since_epoch().count()};
  Parked<Farewell> stop_words_{};
  Parked<DrainOrder> drain_{};
  std::atomic<std::size_t> others_running_{0};
  std::atomic<bool> running_{false};
  bool is_stepped_ = false;  // by begin_steps()
  std::mutex late_mutex_{};
  std::string late_{};  // guarded by late_mutex_: an option set while the server ran
};

}  // namespace tern::server
