// A worker shares nothing with the others but the port, two counts and what is posted to it.
#include "server/worker.h"

#include "net/socket.h"
#include "net/tcp.h"
#include "server/pending_upgrade.h"
#include "tls/transport.h"

#include <array>
#include <new>
#include <span>
#include <string_view>

namespace tern::server {

using connection::LiveConnection;

namespace {

// A handshake that is younger is not dropped in favour of a newcomer.
constexpr std::chrono::seconds min_handshake_age(1);

// Written without an engine: at the connection limit there is no room for one. The Date follows.
constexpr std::string_view no_room =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\nDate: ";
constexpr std::string_view page_methods = "GET, HEAD, OPTIONS";

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

Worker::Worker(Core& core, connection::Metrics& metrics, bool first)
    : core_(core),
      loop_(loop_options(core.options)),
      metrics_(metrics),
      environment_{loop_,
                   loop_.core(),
                   workspace_,
                   core.engine_options,
                   std::make_shared<connection::Registry>(loop_.core().mailbox()),
                   metrics_,
                   *this,
                   core.options.log},
      listener_(loop_.core(), *this),
      first_(first) {}

Worker::~Worker() { end(); }

// Posts are refused first, so that what an on_close posts is not lost silently.
void Worker::end() noexcept {
  listener_.stop();
  loop_.core().refuse_posts();
  environment_.registry->for_each([](LiveConnection& connection) { connection.abandon(); });
  loop_.core().timers().cancel(*this);
  loop_.core().shut_down();  // frees what was abandoned, while the workspace lives
}

std::error_code Worker::listen(net::Fd socket) noexcept {
  if (const auto error = loop_.core().error()) return error;  // why it can watch nothing
  return listener_.start(std::move(socket));
}

Result<void> Worker::run() noexcept {
  net::Poller& poller = loop_.core().poller();
  if (const auto error = poller.add(core_.stop_event(), net::readable | net::edge, *this)) {
    end();  // else a peer that connects would wait for an answer
    return Error(error);
  }
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

Acceptor::Verdict Worker::on_accepted(net::Fd socket) noexcept {
  if (core_.connections.load(std::memory_order_relaxed) >= core_.max_connections) {
    metrics_.connections_rejected.add();
    // To a client that expects TLS this would be noise.
    if (!core_.options.tls) send_no_room(socket.get());
    net::shutdown_write(socket.get());
    return Verdict::taken;
  }
  if (core_.unfinished.load(std::memory_order_relaxed) >= core_.options.max_unfinished_handshakes) {
    drop_oldest_unfinished();
  }
  core_.connections.fetch_add(1, std::memory_order_relaxed);
  core_.unfinished.fetch_add(1, std::memory_order_relaxed);
  LiveConnection* connection = serve(std::move(socket));
  if (connection == nullptr) {
    core_.connections.fetch_sub(1, std::memory_order_relaxed);
    core_.unfinished.fetch_sub(1, std::memory_order_relaxed);
    return Verdict::full;
  }
  if (!connection->handshaking()) return Verdict::taken;  // it is gone: epoll has no room
  try {
    const connection::Registry::Place place = connection->place();
    begun_.push_back({place.slot, place.generation, loop_.now()});
  } catch (const std::bad_alloc&) {  // it is served all the same, only never dropped for a newcomer
  }
  return Verdict::taken;
}

// What is said where there is no room: without memory as well.
void Worker::send_no_room(int socket) noexcept {
  constexpr std::string_view head_end = "\r\n\r\n";
  std::array<char, 192> answer{};
  tell_wall_clock();
  std::size_t size = 0;
  for (const std::string_view part : {no_room, workspace_.date(loop_.now()), head_end}) {
    size += part.copy(answer.data() + size, answer.size() - size);
  }
  net::send_once(socket, std::as_bytes(std::span(answer).first(size)));
}

// The engine writes the Date of its answers, and asks no clock. The time of day runs as the loop's
// time does until somebody sets it, so it is asked for only now and then.
void Worker::tell_wall_clock() noexcept {
  constexpr std::chrono::milliseconds soon(100);
  const auto now = loop_.now();
  if (now - wall_clock_told_ < soon) return;
  wall_clock_told_ = now;
  workspace_.set_wall_clock(now, std::chrono::system_clock::now());
}

// Null when memory is out.
LiveConnection* Worker::serve(net::Fd socket) noexcept {
  tell_wall_clock();
  if (!core_.options.tls) return LiveConnection::adopt(std::move(socket), environment_);
  std::unique_ptr<net::Transport> tcp(new (std::nothrow) net::TcpTransport(std::move(socket)));
  if (tcp == nullptr) return nullptr;
  std::unique_ptr<net::Transport> secure =
      tls::TlsTransport::server(std::move(tcp), core_.tls_context(), scratch_);
  if (secure == nullptr) return nullptr;
  return LiveConnection::adopt(std::move(secure), environment_);
}

// Those that finished since are forgotten on the way: the list is as short as what is in progress.
const Worker::Begun* Worker::oldest_unfinished() noexcept {
  for (; !begun_.empty(); begun_.pop_front()) {
    const Begun& oldest = begun_.front();
    const LiveConnection* connection = environment_.registry->find(oldest.slot, oldest.generation);
    if (connection != nullptr && connection->handshaking()) return &oldest;
  }
  return nullptr;
}

// Makes room for a newcomer.
void Worker::drop_oldest_unfinished() noexcept {
  const Begun* const oldest = oldest_unfinished();
  if (oldest == nullptr) return;
  environment_.registry->find(oldest->slot, oldest->generation)->give_up(Errc::overloaded);
}

void Worker::on_handshake_over(LiveConnection&) noexcept {
  core_.unfinished.fetch_sub(1, std::memory_order_relaxed);
  oldest_unfinished();
}

void Worker::on_gone(LiveConnection&) noexcept {
  core_.connections.fetch_sub(1, std::memory_order_relaxed);
  if (stopping_) finish_if_deserted();
}

void Worker::on_trouble(std::error_code error, bool for_good) noexcept {
  metrics_.accept_pauses.add();
  const std::string_view what = for_good ? "accepting ended: " : "accepting pauses: ";
  connection::log_composed(core_.options.log, [&] {
    connection::log(core_.options.log, LogLevel::error, std::string(what) + error.message());
  });
}

// ---- requests

std::string_view Worker::route_name(std::uint16_t route) const noexcept {
  return core_.router.path_of(route);
}

// To upgrade to something else than WebSocket is an offer that a server may ignore (RFC 9110 §7.8).
bool Worker::asks_for_upgrade(const LiveConnection& connection) noexcept {
  const std::error_code why_not = connection.engine().upgrade_error();
  return why_not != Errc::upgrade_required && why_not != Errc::method_not_allowed;
}

void Worker::on_request(LiveConnection& connection) noexcept {
  try {
    answer(connection);
  } catch (const std::bad_alloc&) {  // not even for a 404
    connection.terminate(Errc::no_memory);
  }
}

void Worker::answer(LiveConnection& connection) {
  const Request& received = connection.engine().request();
  tell_wall_clock();
  if (received.target() == "*") {  // OPTIONS of the server as a whole, RFC 9110 §9.3.7
    return connection.respond(Response::status(204).header("Allow", std::string(page_methods)));
  }
  Route* const route = core_.router.find(received.path());
  if (route == nullptr) {
    if (received.has_header("Upgrade")) metrics_.refused(Errc::route_not_found);
    return connection.respond(Response::status(404));
  }
  connection.set_route(route->id);
  const auto serve = [&] {
    // Mostly nobody reads them; to ask is a call of the system.
    const bool read = route->type == nullptr || route->page || route->reads_request;
    const std::string remote = read ? connection.remote_address() : std::string();
    const std::string subject = read ? connection.peer_subject() : std::string();
    const Request request({.method = received.method(),
                           .target = received.target(),
                           .fields = received.headers(),
                           .remote_address = remote,
                           .client_subject = subject,
                           .minor_version = received.minor_version()});
    if (route->page && !(route->is_websocket() && asks_for_upgrade(connection)))
      return serve_page(connection, *route, request);
    serve_websocket(connection, *route, request);
  };
  if (!connection.call_application(route->page ? "the page" : "the route", serve)) {
    connection.respond_internal_error();  // no effect if it was answered before it threw
  }
}

void Worker::serve_page(LiveConnection& connection, Route& route, const Request& request) {
  if (request.method() == "GET" || request.method() == "HEAD") {
    return connection.respond(route.page(request));
  }
  const int status = request.method() == "OPTIONS" ? 204 : 405;  // RFC 9110 §9.3.7, §15.5.6
  connection.respond(Response::status(status).header("Allow", std::string(page_methods)));
}

void Worker::serve_websocket(LiveConnection& connection, Route& route, const Request& request) {
  if (connection.engine().upgrade_error()) return connection.refuse();
  if (route.type != nullptr) {
    return connection.accept(route.accept, *route.type,
                             [&](void* memory) { route.construct(memory, request); });
  }
  const connection::Registry::Place place = connection.place();
  route.decide(Upgrade(std::make_shared<PendingUpgrade>(request, environment_.registry, place.slot,
                                                        place.generation)));
}

// ---- the end

// The event is that of the whole process, of all its runs and of its children: only the time of the
// end tells whether this run is meant.
void Worker::on_ready(std::uint32_t) noexcept {
  if (core_.stop_at() == Core::not_stopped) return;
  if (!stopping_) begin_stop();
  keep_deadline();
  finish_if_deserted();
}

void Worker::begin_stop() noexcept {
  stopping_ = true;
  listener_.stop();
  environment_.stopping = true;
  environment_.registry->for_each([](LiveConnection& connection) { connection.part(); });
}

// A later stop() may have made it shorter.
void Worker::keep_deadline() noexcept {
  try {
    loop_.core().timers().arm(*this, core_.stop_at());
  } catch (const std::bad_alloc&) {
    on_timer(loop_.now());
  }
}

void Worker::finish_if_deserted() noexcept {
  if (environment_.registry->size() != 0) return;
  if (!first_ || core_.others_running() == 0) loop_.stop();
}

void Worker::on_timer(net::Timer::time_point) noexcept {
  loop_.core().refuse_posts();  // there is no one left to post to
  environment_.registry->for_each([](LiveConnection& connection) { connection.abandon(); });
  finish_if_deserted();
}

}  // namespace tern::server
