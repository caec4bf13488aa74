// A worker is one loop with its listeners and its connections. Workers share only the ports, the
// routes, two counts and what is posted to them.
#include "server/worker.h"

#include "net/proxy_transport.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "server/behind_proxy.h"
#include "server/handshake.h"
#include "server/requests.h"
#include "tls/transport.h"

#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace tern::server {

using connection::LiveConnection;

namespace {

// A younger handshake is not dropped in favour of a new connection.
constexpr std::chrono::seconds min_handshake_age(1);

EngineOptions engine_options_of(const ServerOptions& options, bool secure) {
  return {.limits = options.limits,
          .timeouts = options.timeouts,
          .allowed_origins = options.allowed_origins,
          .deflate = options.deflate,
          .secure = secure};
}

LoopOptions loop_options(const ServerOptions& given) {
  LoopOptions options;
  options.spin = given.spin;
  options.max_posted = given.max_posted;
  options.max_posted_bytes = given.max_posted_bytes;
  options.on_exception = [&sink = given.log](std::string_view what) {
    connection::log(sink, LogLevel::error, what);
  };
  return options;
}

}  // namespace

Worker::Worker(Core& core, connection::Metrics& metrics, std::size_t index)
    : core_(core),
      loop_(loop_options(core.options)),
      metrics_(metrics),
      fanout_(loop_.core(), metrics_, core.topics, index),
      plain_options_(engine_options_of(core.options, false)),
      secure_options_(engine_options_of(core.options, true)),
      shared_{loop_,
              workspace_,
              plain_options_,
              std::make_shared<connection::Registry>(loop_.core().mailbox()),
              core.options.log,
              &fanout_},
      environment_{loop_.core(), metrics_, *this, shared_},
      sweep_(loop_.core(), *shared_.registry),
      first_(index == 0) {}

Worker::~Worker() { end(); }

// Posts are refused first, so that a post by an on_close fails and is not lost silently.
void Worker::end() noexcept {
  stop_listening();
  loop_.core().refuse_posts();
  shared_.registry->for_each([](LiveConnection& connection) { connection.abandon(); });
  loop_.core().timers().cancel(*this);
  loop_.core().shut_down();  // frees what was abandoned, while the workspace lives
}

std::error_code Worker::listen(PlaceKind kind, net::Fd socket) {
  if (const auto error = loop_.core().error()) return error;  // why it can watch nothing
  Acceptor& acceptor = *this;
  return listeners_.emplace_back(loop_.core(), acceptor, kind).start(std::move(socket));
}

std::error_code Worker::begin_steps() noexcept {
  net::LoopCore& loop = loop_.core();
  if (const auto error = loop.error()) return error;
  loop.begin_steps();
  if (const auto error = loop.poller().add(core_.stop_event(), net::readable | net::edge, *this)) {
    return error;
  }
  core_.call_worker_started(loop_);
  return {};
}

void Worker::end_steps() noexcept {
  loop_.core().poller().remove(core_.stop_event(), *this);
  end();
}

void Worker::serve_given(net::Fd socket) noexcept {
  on_accepted(std::move(socket), PlaceKind{.is_unix = true});
}

void Worker::stop_listening() noexcept {
  for (Listener& listener : listeners_) listener.stop();
}

Result<void> Worker::run() noexcept {
  net::Poller& poller = loop_.core().poller();
  if (const auto error = poller.add(core_.stop_event(), net::readable | net::edge, *this)) {
    end();  // otherwise a peer that connects would wait for an answer
    return Error(error);
  }
  core_.call_worker_started(loop_);
  Result<void> ran = loop_.run();
  poller.remove(core_.stop_event(), *this);
  end();  // in the thread of its connections
  return ran;
}

// ---- new connections

bool Worker::may_accept() noexcept {
  if (core_.unfinished.load(std::memory_order_relaxed) < core_.options.max_unfinished_handshakes) {
    return true;
  }
  const Begun* const oldest = oldest_unfinished();
  return oldest != nullptr && loop_.now() - oldest->at >= min_handshake_age;
}

Acceptor::Verdict Worker::on_accepted(net::Fd socket, PlaceKind from) noexcept {
  if (core_.connections.load(std::memory_order_relaxed) >= core_.max_connections) {
    metrics_.connections_rejected.add();
    turn_away(socket.get(), from, "503 Service Unavailable");
    return Verdict::taken;
  }
  std::optional<ClientKey> client;
  if (core_.address_limits.counts_connections()) client = direct_client(socket.get());
  if (client && !core_.address_limits.connect(*client)) {
    metrics_.connections_limited.add();
    turn_away(socket.get(), from, "429 Too Many Requests");
    return Verdict::taken;
  }
  if (core_.unfinished.load(std::memory_order_relaxed) >= core_.options.max_unfinished_handshakes) {
    drop_oldest_unfinished();
  }
  core_.connections.fetch_add(1, std::memory_order_relaxed);
  core_.unfinished.fetch_add(1, std::memory_order_relaxed);
  LiveConnection* connection = serve(std::move(socket), from);
  if (connection == nullptr) {
    core_.connections.fetch_sub(1, std::memory_order_relaxed);
    core_.unfinished.fetch_sub(1, std::memory_order_relaxed);
    if (client) core_.address_limits.disconnect(*client);
    return Verdict::full;
  }
  if (client) keep_client(*connection, *client);
  if (!connection->is_opening()) return Verdict::taken;  // it is gone: epoll has no room
  if (state_ == State::draining) connection->set_late();
  try {
    const connection::Registry::Place place = connection->place();
    begun_.push_back({place.slot, place.generation, loop_.now()});
  } catch (const std::bad_alloc&) {  // it is served, but never dropped for a new connection
  }
  return Verdict::taken;
}

// The engine writes the Date of its answers and reads no clock. The time of day advances like the
// loop's time until an administrator sets it, so it is read only now and then.
void Worker::set_wall_clock() noexcept {
  constexpr std::chrono::milliseconds soon(100);
  const auto now = loop_.now();
  if (now - wall_clock_set_ < soon) return;
  wall_clock_set_ = now;
  workspace_.set_wall_clock(now, std::chrono::system_clock::now());
}

// Null when memory is out.
LiveConnection* Worker::serve(net::Fd socket, PlaceKind from) noexcept {
  set_wall_clock();
  auto engine = Engine::server(from.secure ? secure_options_ : plain_options_, workspace_);
  if (!engine) return nullptr;
  const bool proxied = must_have_proxy_header(core_, socket.get());
  if (!from.secure && !proxied) {
    return LiveConnection::start(std::move(socket), *std::move(engine), environment_);
  }
  std::unique_ptr<net::Transport> tcp;
  if (proxied) {
    tcp = net::ProxyTransport::make(std::move(socket));
  } else {
    tcp.reset(new (std::nothrow) net::TcpTransport(std::move(socket)));
  }
  if (tcp == nullptr) return nullptr;
  if (!from.secure) {
    return LiveConnection::start(std::move(tcp), *std::move(engine), environment_);
  }
  std::unique_ptr<net::Transport> secure =
      tls::TlsTransport::server(std::move(tcp), core_.tls_context(), scratch_);
  if (secure == nullptr) return nullptr;
  return LiveConnection::start(std::move(secure), *std::move(engine), environment_);
}

// Handshakes that are over are removed on the way, so the list stays as short as the number of
// handshakes in progress.
const Worker::Begun* Worker::oldest_unfinished() noexcept {
  for (; !begun_.empty(); begun_.pop_front()) {
    const Begun& oldest = begun_.front();
    const LiveConnection* connection = shared_.registry->find(oldest.slot, oldest.generation);
    if (connection != nullptr && connection->is_opening()) return &oldest;
  }
  return nullptr;
}

// Makes room for a new connection.
void Worker::drop_oldest_unfinished() noexcept {
  const Begun* const oldest = oldest_unfinished();
  if (oldest == nullptr) return;
  Handshake(*shared_.registry->find(oldest->slot, oldest->generation)).give_up(Errc::overloaded);
}

// ---- events of connections

void Worker::on_head(LiveConnection& connection) noexcept {
  set_wall_clock();
  if (may_have_proxies(core_)) hear_proxies(core_, connection);
  const bool limited = connection.is_late() || core_.address_limits.is_on();
  if (limited && !connection.engine().upgrade_error() && !may_upgrade(connection)) return;
  answer_request(core_.router, file_cache_, connection);
}

void Worker::on_closed(LiveConnection& connection) noexcept {
  const std::error_code why = connection.engine().close_info().error;
  // A body that is read is past the opening, and its faults count on each request.
  const bool of_body = why == Errc::body_timeout || why == Errc::body_malformed;
  if (why == Errc::body_too_big) return Handshake(connection).on_refused(why);
  if (of_body || (connection.is_opening() && why)) metrics_.refused(why);
}

void Worker::on_opening_over(LiveConnection&) noexcept {
  core_.unfinished.fetch_sub(1, std::memory_order_relaxed);
  oldest_unfinished();
}

void Worker::on_opened(LiveConnection& connection) noexcept {
  if (drainer_) drainer_->on_opened(connection);
}

void Worker::on_gone(LiveConnection& connection) noexcept {
  if (!clients_.empty()) forget_client(connection.place().slot);
  core_.connections.fetch_sub(1);
  if (state_ == State::draining) core_.end_drain_if_deserted();
  if (state_ == State::stopping) finish_if_deserted();
}

std::string_view Worker::name_of(std::uint16_t label) const noexcept {
  return core_.router.path_of(label);
}

void Worker::for_each(std::shared_ptr<UniqueFunction<void(Connection&)>> function) {
  sweep_.add([function = std::move(function)](LiveConnection& connection) {
    if (connection.engine().is_open()) connection.call(*function);
  });
}

// A topic may have a hundred thousand subscribers. Without memory this turn tells all of them.
void Worker::on_history(const topics::TopicRef& topic, bool known, std::size_t count) noexcept {
  do {
    count = fanout_.on_history(*topic, known, count);
    if (count == 0) return;
  } while (!go_on_with_history(topic, known, count));
}

bool Worker::go_on_with_history(const topics::TopicRef& topic, bool known,
                                std::size_t count) noexcept {
  try {
    auto next = [this, topic, known, count] { on_history(topic, known, count); };
    return loop_.core().mailbox()->post(std::move(next), {.bounded = false});
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// A sweep that has not begun tells the later gaps, too.
void Worker::tell_bridge_gaps() noexcept {
  if (gaps_wait_) return;
  try {
    std::shared_ptr<void> ticket(
        this, [](void* worker) { static_cast<Worker*>(worker)->gaps_wait_ = false; });
    gaps_wait_ = true;
    sweep_.add([this, ticket = std::move(ticket)](LiveConnection& connection) {
      gaps_wait_ = false;
      connection.tell_bridge_gaps();
    });
  } catch (const std::bad_alloc&) {  // the next gap tells them, too
  }
}

// ---- the end of accepting

void Worker::on_trouble(std::error_code error, bool for_good) noexcept {
  metrics_.accept_pauses.add();
  const std::string_view what =
      for_good ? "no connections are accepted any more: " : "no connections are accepted for now: ";
  connection::log_composed(core_.options.log, [&] {
    connection::log(core_.options.log, LogLevel::error, std::string(what) + error.message());
  });
}

// ---- the end

// All runs of the server use this event, and children of fork() too. Only the time of the end shows
// whether this run is meant.
void Worker::on_ready(std::uint32_t) noexcept {
  if (const DrainOrder* const order = core_.drain_order(); order && state_ == State::serving) {
    begin_drain(*order);
  }
  if (core_.stop_at() == Core::not_stopped) return;
  if (state_ != State::stopping) begin_stop();
  keep_deadline();
  finish_if_deserted();
}

// The connections that come from now on can only be those of a socket that no other program accepts
// from. Their upgrades are refused, so that the clients go elsewhere. To close the socket would
// reset the connections in its queue.
void Worker::begin_drain(const DrainOrder& order) noexcept {
  state_ = State::draining;
  for (Listener& listener : listeners_) listener.leave_to_others();
  plain_options_.keep_alive = secure_options_.keep_alive = false;
  if (first_ && order.spread > order.deadline) {
    connection::log(core_.options.log, LogLevel::warning,
                    "drain: the spread is above the deadline, which is taken instead");
  }
  drainer_.emplace(core_, loop_.core(), *shared_.registry, sweep_, order);
  drainer_->begin();
  core_.draining_workers.fetch_add(1);
  core_.end_drain_if_deserted();
}

void Worker::begin_stop() noexcept {
  state_ = State::stopping;
  if (drainer_) drainer_->stop();
  stop_listening();
  shared_.stopping = true;
  const Farewell farewell = core_.farewell();
  const auto goodbye = [this, farewell](LiveConnection& connection) {
    say_goodbye(connection, farewell);
  };
  if (!fanout_.busy()) return shared_.registry->for_each(goodbye);
  // A connection first receives the publications on their way to it, so this may take long.
  try {
    sweep_.add(goodbye);
  } catch (const std::bad_alloc&) {
    shared_.registry->for_each([](LiveConnection& connection) { connection.abandon(); });
  }
}

void Worker::say_goodbye(LiveConnection& connection, const Farewell& farewell) noexcept {
  if (connection.is_lingering()) return connection.abandon();
  connection.close(farewell.code, farewell.reason());
}

// A later stop() may have made the deadline earlier.
void Worker::keep_deadline() noexcept {
  try {
    loop_.core().timers().arm(*this, core_.stop_at());
  } catch (const std::bad_alloc&) {
    on_timer(loop_.now());
  }
}

void Worker::finish_if_deserted() noexcept {
  if (shared_.registry->size() != 0) return;
  if (!first_ || core_.others_running() == 0) loop_.stop();
}

// The deadline of the stop. A request that waits is answered with 503, also if the stop began now.
// Publications on their way are dropped, because they are not bounded by the deadline: 65 536 of
// them for each of 500 subscribers took 1.8 s.
void Worker::on_timer(net::Timer::time_point) noexcept {
  fanout_.give_up();
  loop_.core().refuse_posts();  // no connection is left that could receive them
  const Farewell farewell = core_.farewell();
  shared_.registry->for_each([&](LiveConnection& connection) {
    say_goodbye(connection, farewell);
    connection.abandon();
  });
  finish_if_deserted();
}

}  // namespace tern::server
