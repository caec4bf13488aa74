// A server is its workers; the thread that calls run() is the first of them.
//
// stop() may be called from a signal handler, so it does three things only: it stores the deadline
// in a lock-free atomic, and writes to an eventfd that was made in the constructor and that every
// worker watches.
#include "tern/server.h"

#include "base/assert.h"
#include "net/address.h"
#include "net/event.h"
#include "net/socket.h"
#include "server/core.h"
#include "server/worker.h"

#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <string>
#include <sys/resource.h>
#include <thread>

namespace tern {
namespace server {
namespace {

// Descriptors that are not connections: listeners, loops, files of the application.
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

// Blocks the signals that stop the server in this thread and those it starts, while it lives: only
// then does the loop get them (signalfd), and the program is not ended by them.
class BlockedSignals {
 public:
  explicit BlockedSignals(const std::vector<int>& signals) noexcept : any_(!signals.empty()) {
    if (!any_) return;
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : signals) ::sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~BlockedSignals() {
    if (any_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
  bool any_;
};

// The session of a route of plain functions.
struct HandlersSession {
  Handlers* handlers;

  void on_open(Connection& conn) {
    if (handlers->on_open) handlers->on_open(conn);
  }
  void on_message(Connection& conn, Message message) { handlers->on_message(conn, message); }
  void on_drain(Connection& conn) {
    if (handlers->on_drain) handlers->on_drain(conn);
  }
  void on_close(Connection& conn, const CloseInfo& info) {
    if (handlers->on_close) handlers->on_close(conn, info);
  }
};

}  // namespace

Core::Core(ServerOptions given)
    : options(std::move(given)),
      engine_options{.limits = options.limits,
                     .timeouts = options.timeouts,
                     .allowed_origins = options.allowed_origins,
                     .deflate = options.deflate,
                     .secure = options.tls.has_value()},
      max_connections(connection_limit(options.max_connections)) {
  net::Opened event = net::open_event();
  stop_event_ = std::move(event.fd);
  stop_error_ = event.error;
}

Core::~Core() = default;

Result<void> Core::listen() {
  if (!workers.empty()) return {};
  if (stop_error_) return Error(stop_error_, "eventfd");
  auto address = net::Address::parse(options.host, options.port);
  const std::string where =
      "listen " +
      (address ? address->to_string() : options.host + ':' + std::to_string(options.port));
  if (!address) return Error(std::make_error_code(std::errc::invalid_argument), where);
  if (options.tls) {
    if (auto loaded = reload_certificates(); !loaded) return loaded;
  }
  std::vector<std::unique_ptr<Worker>> made;
  auto use = options.share_port ? net::PortUse::join : net::PortUse::first;
  for (unsigned i = 0; i < std::max(options.threads, 1u); ++i) {
    net::Opened socket = net::listen_tcp(*address, use);
    if (!socket) return Error(socket.error, where);
    net::set_nodelay(socket.fd.get());  // what it accepts inherits this
    const net::Address local = net::local_address(socket.fd.get());
    if (local.port() == 0) return Error({errno, std::system_category()}, where);
    address->set_port(local.port());
    use = net::PortUse::join;
    made.push_back(std::make_unique<Worker>(*this));
    if (const auto error = made.back()->listen(std::move(socket.fd))) return Error(error, where);
  }
  workers = std::move(made);
  port = address->port();
  return {};
}

Result<void> Core::run() {
  if (running_.exchange(true)) return Errc::already_running;
  Result<void> ran = listen();
  if (ran) {
    const BlockedSignals blocked(options.stop_on);
    for (const int signal : options.stop_on) {
      Result<void> heard =
          workers.front()->loop().on_signal(signal, [this](int) { stop(options.stop_deadline); });
      if (!heard) ran = std::move(heard);
    }
    if (ran) ran = run_workers();
  }
  running_ = false;
  return ran;
}

Result<void> Core::run_workers() {
  std::vector<Result<void>> results(workers.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < workers.size(); ++i) {
    threads.emplace_back([this, i, &results] { results[i] = workers[i]->run(); });
  }
  results[0] = workers[0]->run();
  if (!results[0]) stop({});  // the others must not serve on behind the back of the caller
  for (std::thread& thread : threads) thread.join();
  for (Result<void>& result : results) {
    if (!result) return std::move(result);
  }
  return {};
}

void Core::stop(std::chrono::nanoseconds deadline) noexcept {
  stop_deadline_.store(deadline.count());
  net::signal_event(stop_event_.get());
}

// The old context goes when the last of its connections does.
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

}  // namespace server

Server::Server(ServerOptions options) : core_(std::make_unique<server::Core>(std::move(options))) {}

Server::~Server() = default;

Server& Server::add_route(std::string path, Accept accept, const connection::SessionType& type,
                          Construct construct, bool reads_request) {
  server::Route& route = core_->router.at(std::move(path));
  route.decide = nullptr;
  route.type = &type;
  route.construct = std::move(construct);
  route.reads_request = reads_request;
  route.accept = std::move(accept);
  return *this;
}

Server& Server::route(std::string path, Handlers handlers, Accept accept) {
  TERN_ASSERT(handlers.on_message);
  auto kept = std::make_unique<Handlers>(std::move(handlers));
  return add_route(
      std::move(path), std::move(accept), connection::session_type<server::HandlersSession>,
      [kept = std::move(kept)](void* memory, const Request&) {
        ::new (memory) server::HandlersSession{kept.get()};
      },
      false);
}

Server& Server::route(std::string path, UniqueFunction<void(Upgrade)> decide) {
  server::Route& route = core_->router.at(std::move(path));
  route.type = nullptr;
  route.decide = std::move(decide);
  return *this;
}

Server& Server::get(std::string path, UniqueFunction<Response(const Request&)> page) {
  core_->router.at(std::move(path)).page = std::move(page);
  return *this;
}

Result<void> Server::listen() { return core_->listen(); }
Result<void> Server::run() { return core_->run(); }
void Server::stop(std::chrono::nanoseconds deadline) noexcept { core_->stop(deadline); }
Result<void> Server::reload_certificates() { return core_->reload_certificates(); }
std::uint16_t Server::port() const noexcept { return core_->port; }

Counters Server::counters() const {
  Counters total;
  for (const auto& worker : core_->workers) worker->metrics().add_to(total);
  return total;
}

}  // namespace tern
