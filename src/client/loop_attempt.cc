// The loop's driver of the steps. A step is done, waits for an event, or fails. When an event makes
// it done, run() continues with the step after it. The owner is called last in each function,
// because it may close the attempt.
#include "client/loop_attempt.h"

#include "net/socket.h"
#include "net/tcp.h"
#include "net/unix_socket.h"
#include "tls/context.h"
#include "tls/transport.h"

#include <cstdlib>
#include <new>
#include <utility>

namespace tern::client {
namespace {

const char* environment(const char* name) { return std::getenv(name); }

}  // namespace

LoopAttempt::LoopAttempt(net::LoopCore& core, ClientGroup& group, Owner& owner, Destination to,
                         TimePoint deadline, net::Fd given)
    : core_(core),
      group_(group),
      owner_(&owner),
      to_(std::move(to)),
      deadline_(deadline),
      clock_(std::chrono::steady_clock::now()),
      given_(std::move(given)) {}

void LoopAttempt::start() noexcept {
  step_ = Step::find_route;
  try {
    core_.timers().arm(*this, deadline_);
    auto route = find_route(to_.url(), to_.options(), environment);
    if (!route) {
      fail(std::move(route).error());
      return;
    }
    route_ = *std::move(route);
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory));
    return;
  }
  run(next());
}

void LoopAttempt::start(Destination to) noexcept {
  to_ = std::move(to);
  way_ = {};
  tunnel_.reset();
  clock_.again();
  start();
}

void LoopAttempt::close() noexcept {
  owner_ = nullptr;
  if (link_) link_->attempt = nullptr;
  lookup_ = net::Lookup();  // drops it if it waits in the queue
  if (race_) race_->cancel();
  stop_watching();
  core_.timers().cancel(*this);
  way_ = {};
  core_.retire(*this);
}

LoopAttempt::Way LoopAttempt::take_way() noexcept {
  core_.timers().cancel(*this);
  return std::exchange(way_, {});
}

ClientRequest LoopAttempt::request() const {
  ClientRequest request = route_.request;
  request.timeout = deadline_ == TimePoint::max() ? Timeouts::Duration::max()
                                                  : Timeouts::Duration(deadline_ - core_.now());
  return request;
}

// ---- the steps

// The step after step_, which is done. The time is not that of the turn, because a turn may take
// several steps.
Step LoopAttempt::next() noexcept {
  clock_.done(step_, std::chrono::steady_clock::now());
  return step_after(step_, route_, to_.url().secure);
}

void LoopAttempt::run(Step step) noexcept {
  try {
    for (step_ = step; step_ != Step::upgrade; step_ = next()) {
      if (take(step_) != Progress::done) return;
    }
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory));
    return;
  }
  owner_->on_way_open(*this);
}

LoopAttempt::Progress LoopAttempt::take(Step step) {
  switch (step) {
    case Step::take_socket:
      return take_socket();
    case Step::connect_unix:
      return connect_unix();
    case Step::resolve:
      return resolve(route_.connect_to);
    case Step::race:
      return race();
    case Step::secure_proxy:
      return secure_proxy();
    case Step::resolve_target:
      return resolve(route_.tunnel_to);
    case Step::tunnel:
      return tunnel();
    case Step::secure:
      return wrap(to_.options().tls, route_.server_name, to_.url().port, group_.scratch);
    case Step::find_route:
    case Step::upgrade:
      break;
  }
  return Progress::done;
}

LoopAttempt::Progress LoopAttempt::fail(Error failure) noexcept {
  if (owner_ == nullptr) return Progress::over;
  try {
    failure = failure_of(failure, step_, route_);
  } catch (const std::bad_alloc&) {  // its text does without the proxy
  }
  owner_->on_way_failed(*this, std::move(failure), stage());
  return Progress::over;
}

// The time is over. The text names the step and the host.
Error LoopAttempt::late() const {
  const std::string url = name_of(to_.url());
  switch (step_) {
    case Step::resolve:
      return Error(Errc::handshake_timeout, "resolve " + route_.connect_to.host);
    case Step::resolve_target:
      return Error(Errc::handshake_timeout, "resolve " + route_.tunnel_to.host);
    case Step::race:
      if (race_) return race_->error(Errc::handshake_timeout);
      break;
    case Step::tunnel:
      return Error(Errc::handshake_timeout, route_.proxy->name());
    default:
      break;
  }
  return Error(Errc::handshake_timeout, "connect " + url);
}

void LoopAttempt::on_timer(net::Timer::time_point) noexcept {
  try {
    fail(late());
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::handshake_timeout));
  }
}

// ---- names

LoopAttempt::Progress LoopAttempt::resolve(const Endpoint& name) {
  if (const auto numeric = net::Address::parse(name.host, name.port)) {
    return use_addresses(net::Addresses{*numeric});
  }
  link_ = std::make_shared<Link>(Link{this});
  lookup_ =
      net::resolve_async(name.host, name.port,
                         [link = link_, mailbox = core_.mailbox()](Result<net::Addresses> found) {
                           answer(*mailbox, link, std::move(found));
                         });
  return Progress::waits;
}

// Brings the result of a look-up to the loop. Without memory for it the attempt waits for its
// deadline. There is one post for each attempt, so they need no bound.
void LoopAttempt::answer(net::Mailbox& mailbox, std::shared_ptr<Link> link,
                         Result<net::Addresses> found) noexcept {
  try {
    mailbox.post(
        [link = std::move(link), found = std::move(found)]() mutable {
          if (link->attempt) link->attempt->on_resolved(std::move(found));
        },
        {.bounded = false});
  } catch (const std::bad_alloc&) {
  }
}

void LoopAttempt::on_resolved(Result<net::Addresses> found) noexcept {
  link_.reset();
  lookup_ = net::Lookup();
  try {
    if (use_addresses(std::move(found)) != Progress::done) return;
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory));
    return;
  }
  run(next());
}

LoopAttempt::Progress LoopAttempt::use_addresses(Result<net::Addresses> found) {
  if (!found) return fail(std::move(found).error());
  const bool target = step_ == Step::resolve_target;
  const Endpoint& name = target ? route_.tunnel_to : route_.connect_to;
  auto addresses = of_family(*std::move(found), to_.options(), name.host);
  if (!addresses) return fail(std::move(addresses).error());
  addresses_ = *std::move(addresses);
  if (target) route_.tunnel_to.host = addresses_.front().host();
  return Progress::done;
}

// ---- sockets

LoopAttempt::Progress LoopAttempt::take_socket() {
  if (const auto error = net::set_nonblocking(given_.get())) return fail(Error(error, "socket"));
  way_.socket = std::move(given_);
  return Progress::done;
}

LoopAttempt::Progress LoopAttempt::connect_unix() {
  net::Opened opened = net::connect_unix(route_.unix_path);
  if (!opened) return fail(Error(opened.error, "connect " + name_of(to_.url())));
  way_.socket = std::move(opened.fd);
  return Progress::done;
}

LoopAttempt::Progress LoopAttempt::race() {
  race_ =
      std::make_unique<LoopRace>(core_, std::move(addresses_), route_.from,
                                 [this](Result<net::Fd> socket) { on_raced(std::move(socket)); });
  race_->start();
  return Progress::waits;
}

void LoopAttempt::on_raced(Result<net::Fd> socket) noexcept {
  if (!socket) {
    fail(std::move(socket).error());
    return;
  }
  net::set_nodelay(socket->get());  // an error is ignored: it only costs speed
  way_.socket = *std::move(socket);
  run(next());
}

// ---- TLS and proxies

net::Transport& LoopAttempt::transport() {
  if (way_.socket) {
    way_.transport = std::make_unique<net::TcpTransport>(std::move(way_.socket));
  }
  return *way_.transport;
}

LoopAttempt::Progress LoopAttempt::wrap(const TlsClient& options, const std::string& name,
                                        std::uint16_t port, tls::Scratch& scratch) {
  TlsMemory& memory = options.memory != nullptr ? *options.memory : group_.tls;
  auto context = memory.contexts().get(options);
  if (!context) return fail(std::move(context).error());
  transport();
  auto below = std::move(way_.transport);
  auto secure =
      tls::TlsTransport::client(std::move(below), *std::move(context), name, port, scratch);
  if (secure == nullptr) return fail(Error(Errc::no_memory));
  way_.transport = std::move(secure);
  return Progress::done;
}

LoopAttempt::Progress LoopAttempt::secure_proxy() {
  const ProxyServer& proxy = *route_.proxy;
  const std::string& name = proxy.tls.server_name.empty() ? proxy.host : proxy.tls.server_name;
  return wrap(proxy.tls, name, proxy.port, group_.proxy_scratch);
}

LoopAttempt::Progress LoopAttempt::tunnel() {
  const DialOptions& options = to_.options();
  tunnel_.emplace(*route_.proxy, route_.tunnel_to.host, route_.tunnel_to.port, options.user_agent,
                  options.limits);
  if (const std::string_view head = tunnel_->request_head(); !head.empty()) {
    owner_->on_proxy_request(*this, head);
    if (owner_ == nullptr) return Progress::over;
  }
  return on_tunnel();
}

LoopAttempt::Progress LoopAttempt::on_tunnel() {
  net::Transport& below = transport();
  switch (tunnel_->advance(below)) {
    case Tunnel::State::done:
      stop_watching();
      tunnel_.reset();
      return Progress::done;
    case Tunnel::State::failed:
      return fail(tunnel_->error());
    case Tunnel::State::wait_write:
      return watch(net::writable);
    case Tunnel::State::wait_read:
      break;
  }
  return watch(net::readable | (below.has_unsent() ? net::writable : 0u));
}

LoopAttempt::Progress LoopAttempt::watch(std::uint32_t events) {
  if (events == watched_) return Progress::waits;
  const int fd = transport().fd();
  net::Poller& poller = core_.poller();
  const auto error =
      watched_ == 0 ? poller.add(fd, events, *this) : poller.modify(fd, events, *this);
  if (error) return fail(Error(error, route_.proxy->name()));
  watched_ = events;
  return Progress::waits;
}

void LoopAttempt::stop_watching() noexcept {
  if (std::exchange(watched_, 0) == 0) return;
  core_.poller().remove(way_.transport->fd(), *this);
}

void LoopAttempt::on_ready(std::uint32_t) noexcept {
  if (owner_ == nullptr || !tunnel_) return;
  try {
    if (on_tunnel() != Progress::done) return;
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory));
    return;
  }
  run(next());
}

}  // namespace tern::client
