// A server is its workers. The thread that calls run() is the first of them.
//
// stop() and drain() may be called from a signal handler. So they only store their arguments in
// lock-free atomics, and write to an eventfd that the constructor made and that every worker
// watches. The end of run() takes the request back, so that the server can run again. A drain ends
// as a stop, when the last connection is gone or at its deadline.
#include "server/core.h"

#include "base/later.h"
#include "connection/dispatch.h"
#include "engine/publication_deflater.h"
#include "net/event.h"
#include "net/signals.h"
#include "server/blocked_signals.h"
#include "server/validate.h"
#include "server/worker.h"

#include <algorithm>
#include <csignal>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <utility>

namespace tern::server {
namespace {

// For descriptors that are not connections: listeners, loops, files of the application.
constexpr std::size_t reserved_descriptors = 64;

std::size_t connection_limit(std::size_t wanted) noexcept {
  if (wanted != 0) return wanted;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return static_cast<std::size_t>(-1);
  }
  const auto descriptors = static_cast<std::size_t>(limit.rlim_cur);
  return descriptors > 2 * reserved_descriptors ? descriptors - reserved_descriptors
                                                : reserved_descriptors;
}

std::size_t worker_count(const ServerOptions& options) noexcept {
  return std::max(options.threads, 1u);
}

std::string worker_name(std::size_t index, std::size_t count) {
  return "start worker " + std::to_string(index + 1) + " of " + std::to_string(count);
}

}  // namespace

Core::Core(ServerOptions given)
    : options(std::move(given)),
      topics(std::make_shared<topics::Table>(options.topics, worker_count(options),
                                             options.limits.max_message_bytes)),
      max_connections(connection_limit(options.max_connections)),
      trusted_proxies(options.trusted_proxies),
      proxy_protocol_peers(options.proxy_protocol.from),
      address_limits(options.per_address) {
  for (std::size_t i = 0; i < worker_count(options); ++i) {
    metrics_.push_back(std::make_unique<connection::Metrics>());
  }
  if (options.deflate) {
    topics->set_compressor(engine::make_publication_deflater(*options.deflate));
  }
  net::Opened event = net::open_event();
  stop_event_ = std::move(event.fd);
  stop_error_ = event.error;
}

// In a child of fork() the workers are copies, and the parent's threads may have been in the middle
// of a change. So the child does not destroy them, nor the sessions: the parent calls their
// on_close.
Core::~Core() {
  bool copy = false;
  for (std::unique_ptr<Worker>& worker : workers_) {
    if (!worker->loop().core().is_copy()) continue;
    copy = true;
    static_cast<void>(worker.release());
  }
  if (!copy) topics->close();  // in a copy, a thread of the parent may hold its locks
}

Route* Core::add_route(std::string path, Router::Kind kind) {
  if (is_too_late("route \"" + path + "\" is ignored: routes are added before run()"))
    return nullptr;
  return &router.add(std::move(path), kind);
}

bool Core::is_too_late(std::string_view what) {
  if (!running_) return false;
  if (is_stepped_) throw std::runtime_error("the TestServer has begun: " + std::string(what));
  const std::lock_guard lock(late_mutex_);
  late_ = what;
  connection::log(options.log, LogLevel::error, late_);
  return true;
}

// Finds options and routes that can never work. It reports a route that was added while the server
// ran once.
Result<void> Core::check() {
  std::string why = router.problem();
  if (why.empty()) why = topics->problem();
  if (why.empty()) why = bridges.problem();
  if (why.empty()) why = why_invalid(options);
  if (why.empty()) {
    const std::lock_guard lock(late_mutex_);
    why = std::exchange(late_, {});
  }
  if (why.empty()) return router.files().open();
  return Error::described(Errc::options_invalid, "listen: " + why);
}

Result<void> Core::listen() noexcept {
  if (running_) return {};
  try {
    return open_sockets();
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

Result<void> Core::open_sockets() {
  if (auto checked = check(); !checked) return checked;
  if (!places_.empty()) return {};
  if (stop_error_) return Error(stop_error_, "eventfd");
  if (options.tls) {
    if (auto loaded = reload_certificates(); !loaded) return loaded;
  }
  if (auto claimed = claim_signals(); !claimed) return claimed;
  Result<void> bound = open_all_places();
  if (!bound) claim_.release_all();  // another server may take the signals
  return bound;
}

Result<void> Core::open_all_places() {
  auto opened = open_places(options, worker_count(options));
  if (!opened) return std::move(opened).error();
  std::vector<std::string> names;
  std::uint16_t first_port = 0;
  for (const Place& place : *opened) {
    names.push_back(place.name);
    if (first_port == 0) first_port = place.port;
  }
  places_ = *std::move(opened);
  opened_here_.renew();
  port = first_port;
  const std::lock_guard lock(addresses_mutex_);
  addresses_ = std::move(names);
  return {};
}

// Claims all signals or none.
Result<void> Core::claim_signals() {
  for (const int signal : signals_taken()) {
    if (auto error = claim_.take(signal)) {
      claim_.release_all();
      const std::string option = signal == SIGHUP ? "on_hangup" : "stop_on";
      return Error(error, "listen: " + option + ": signal " + std::to_string(signal));
    }
  }
  return {};
}

std::vector<int> Core::signals_taken() const {
  std::vector<int> signals = options.stop_on;
  if (options.on_hangup != Hangup::untouched) signals.push_back(SIGHUP);
  return signals;
}

Result<void> Core::run() noexcept {
  if (running_.exchange(true)) return Errc::already_running;
  Result<void> ran;
  try {
    ran = serve();
  } catch (const std::bad_alloc&) {
    ran = Errc::no_memory;
  }
  end_run();
  running_ = false;
  return ran;
}

Result<void> Core::serve() {
  if (auto listening = open_sockets(); !listening) return listening;
  // A child of fork() claims them here, because its parent did in listen().
  if (auto claimed = claim_signals(); !claimed) return claimed;
  if (fork_mark_.in_child()) {
    topics->begin_epochs();
    fork_mark_.renew();
  }
  if (auto made = make_workers(); !made) return made;
  const BlockedSignals blocked(signals_taken());
  net::Signals signals(workers_.front()->loop().core(), claim_);
  int stops_requested = 0;
  const auto take = [this, &stops_requested](int signal) {
    const bool hangs_up = signal == SIGHUP && options.on_hangup != Hangup::untouched;
    hangs_up ? on_hangup() : on_stop_signal(stops_requested++ == 0);
  };
  for (const int signal : signals_taken()) {
    if (auto error = signals.listen(signal, take)) return Error(error, "listen to a signal");
  }
  return run_workers();
}

void Core::on_stop_signal(bool first) {
  if (!first) return stop({});
  options.drain_on_stop ? drain(*options.drain_on_stop) : stop(options.stop_deadline);
}

// Reads the files in the loop of the first worker, whose connections wait meanwhile.
void Core::on_hangup() {
  if (!options.tls) {
    return connection::log(options.log, LogLevel::info, "SIGHUP: there is no TLS to reload");
  }
  const Result<void> reloaded = reload_certificates();
  connection::log(options.log, reloaded ? LogLevel::info : LogLevel::error,
                  reloaded
                      ? "SIGHUP: the certificates are reloaded"
                      : "SIGHUP: the old certificates stay in use: " + reloaded.error().message());
}

// run() makes the workers, not listen(), because a program may fork() in between, and a child must
// not share an epoll instance with its parent.
Result<void> Core::make_workers() {
  workers_.clear();
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, *metrics_[i], i));
    for (Place& place : places_) {
      // The parent of this process, and its other children, may accept from the same socket.
      if (opened_here_.in_child()) place.kind.handed_over = true;
      if (auto error = workers_.back()->listen(place.kind, std::move(place.sockets[i]))) {
        return Error(error, worker_name(i, metrics_.size()));
      }
    }
  }
  return {};
}

// The threads of all workers but the first. However run() ends, the destructor stops and joins
// them.
class Core::Threads {
 public:
  explicit Threads(Core& core) : core_(core) { threads_.reserve(core.workers_.size()); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    core_.end_drain();
    join();
  }

  template <class F>
  std::error_code start(F&& function) {
    ++core_.others_running_;
    try {
      threads_.emplace_back(std::forward<F>(function));
      return {};
    } catch (const std::system_error& error) {
      --core_.others_running_;
      return error.code();
    } catch (...) {
      --core_.others_running_;
      throw;
    }
  }
  void join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  Core& core_;
  std::vector<std::thread> threads_{};
};

Result<void> Core::run_workers() {
  std::vector<Result<void>> results(workers_.size());
  listen_to_topics();
  {
    const std::lock_guard lock(reachable_mutex_);
    for (const auto& worker : workers_) reachable_.push_back(worker.get());
  }
  if (auto begun = begin_bridges(); !begun) return begun;
  Threads threads(*this);
  for (std::size_t i = 1; i < workers_.size(); ++i) {
    if (const auto error = threads.start([this, i, &results] { results[i] = run_other(i); })) {
      return Error(error, worker_name(i, workers_.size()));
    }
  }
  results[0] = workers_[0]->run();
  if (!results[0]) end_drain();  // the others must not serve after run() has returned
  threads.join();
  for (Result<void>& result : results) {
    if (!result) return std::move(result);
  }
  return {};
}

Result<void> Core::run_other(std::size_t index) noexcept {
  Result<void> ran = workers_[index]->run();
  --others_running_;
  net::signal_event(stop_event_.get());  // the first worker ends last
  return ran;
}

// The workers stay until the next run(), because the application may have references to their
// loops.
void Core::end_run() noexcept {
  {
    const std::lock_guard lock(reachable_mutex_);
    reachable_.clear();
  }
  for (std::unique_ptr<Worker>& worker : workers_) worker->end();
  end_bridges();
  topics->listen_to_changes(nullptr);
  tell_topic_changes(TimePoint::max());
  places_.clear();
  claim_.release_all();
  stop_at_ = not_stopped.time_since_epoch().count();
  stop_words_.reset();
  drain_.reset();
  draining_workers = 0;
}

// stop() and drain() call only async-signal-safe functions. After
// several stops, the earliest deadline holds, with the code and the reason of the first call.
void Core::stop(std::chrono::nanoseconds deadline, CloseCode code,
                std::string_view reason) noexcept {
  stop_words_.put(Farewell(code, reason));
  end_by(base::later(std::chrono::steady_clock::now(),
                     std::max(deadline, std::chrono::nanoseconds(0))));
}

void Core::drain(const Drain& how) noexcept {
  constexpr std::chrono::nanoseconds at_once(0);
  drain_.put({.spread = std::max(how.spread, at_once),
              .deadline = std::max(how.deadline, at_once),
              .farewell = Farewell(how.code, how.reason)});
  net::signal_event(stop_event_.get());
}

void Core::end_by(TimePoint end) noexcept {
  static_assert(std::atomic<TimePoint::rep>::is_always_lock_free);
  constexpr TimePoint latest = not_stopped - TimePoint::duration(1);
  const TimePoint::rep wanted = std::min(end, latest).time_since_epoch().count();
  for (TimePoint::rep known = stop_at_.load(); wanted < known;) {
    if (stop_at_.compare_exchange_weak(known, wanted)) break;
  }
  net::signal_event(stop_event_.get());
}

// The old context is freed together with the last connection that uses it.
Result<void> Core::reload_certificates() {
  if (!options.tls) return Error(Errc::tls_options_invalid, "reload: this server has no TLS");
  auto loaded = tls::ServerContext::load(*options.tls);
  if (!loaded) return std::move(loaded).error();
  const std::lock_guard lock(tls_mutex_);
  tls_context_ = *std::move(loaded);
  return {};
}

std::shared_ptr<tls::ServerContext> Core::tls_context() const noexcept {
  const std::lock_guard lock(tls_mutex_);
  return tls_context_;
}

Farewell Core::farewell() const noexcept {
  if (const Farewell* const words = stop_words_.get()) return *words;
  const DrainOrder* const order = drain_.get();
  return order != nullptr ? order->farewell : Farewell();
}

void Core::end_drain() noexcept { end_by(TimePoint()); }

// A worker that has not begun yet may still accept a connection, which then is finished, too.
void Core::end_drain_if_deserted() noexcept {
  if (draining_workers == workers_.size() && connections == 0) end_drain();
}

}  // namespace tern::server
