// dial(): takes the steps of steps.h one after the other, under one absolute deadline. Each step
// names itself in its error, so that the text says how far it came. A redirect starts
// again with the first step, under the same deadline.
#include "tern/dial.h"

#include "client/connect.h"
#include "client/retry.h"
#include "client/route.h"
#include "client/session.h"
#include "client/steps.h"
#include "client/stop.h"
#include "client/tunnel.h"
#include "client/wait.h"
#include "http/url.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "net/unix_socket.h"
#include "tls/transport.h"

#include <cstdlib>
#include <new>
#include <utility>

namespace tern {
namespace {

using client::Clock;
using client::Route;
using client::Step;

const char* environment(const char* name) { return std::getenv(name); }

Result<std::shared_ptr<tls::ClientContext>> context_of(const TlsClient& options) {
  if (options.memory != nullptr) return options.memory->contexts().get(options);
  return tls::ClientContext::load(options);
}

// Opens one connection to a server: the steps, and the objects that one step leaves for the next.
class Opening {
 public:
  Opening(const http::Url& url, const DialOptions& options, Clock::time_point deadline,
          const client::StopSignal& stop, Clock::time_point began) noexcept
      : url_(url), options_(options), deadline_(deadline), stop_(stop), clock_(began) {}

  // Takes over the given socket, if there is one.
  Result<BlockingClient> go(net::Fd given) {
    given_ = std::move(given);
    // Certificates are loaded first, so that wrong ones fail before any connection is made.
    if (url_.secure) {
      auto loaded = context_of(options_.tls);
      if (!loaded) return std::move(loaded).error();
      context_ = *std::move(loaded);
    }
    auto route = client::find_route(url_, options_, environment);
    if (!route) return std::move(route).error();
    for (Step step = client::first_step(*route); step != Step::upgrade;
         step = client::step_after(step, *route, url_.secure)) {
      if (auto done = take(step, *route); !done) {
        return client::failure_of(std::move(done).error(), step, *route);
      }
      clock_.done(step, Clock::now());
    }
    return upgrade(*route);
  }

 private:
  Result<void> take(Step step, Route& route) {
    switch (step) {
      case Step::take_socket:
        if (const auto error = net::set_nonblocking(given_.get())) return Error(error, "socket");
        return use(std::move(given_));
      case Step::connect_unix:
        return connect_unix(route);
      case Step::resolve:
        return resolve_into(addresses_, route.connect_to);
      case Step::race:
        return race(route);
      case Step::secure_proxy:
        return secure_proxy(*route.proxy);
      case Step::resolve_target:
        if (auto found = resolve_into(addresses_, route.tunnel_to); !found) return found;
        route.tunnel_to.host = addresses_.front().host();
        return {};
      case Step::tunnel:
        return tunnel(route);
      case Step::secure:
        return wrap(std::move(context_), route.server_name, url_.port, 1);
      case Step::find_route:
      case Step::upgrade:
        break;
    }
    return {};
  }

  Result<void> use(net::Fd socket) {
    remote_address_ = net::peer_name(socket.get());
    transport_ = std::make_unique<net::TcpTransport>(std::move(socket));
    return {};
  }

  Result<void> connect_unix(const Route& route) {
    net::Opened opened = net::connect_unix(route.unix_path);
    if (!opened) return Error(opened.error, "connect " + client::name_of(url_));
    return use(std::move(opened.fd));
  }

  Result<void> race(const Route& route) {
    auto socket = client::connect_any(addresses_,
                                      {.deadline = deadline_, .from = route.from, .stop = &stop_});
    if (!socket) return std::move(socket).error();
    net::set_nodelay(socket->get());  // an error is ignored: it only costs speed
    return use(*std::move(socket));
  }

  Result<void> resolve_into(net::Addresses& into, const client::Endpoint& to) {
    auto addresses = resolve(to);
    if (!addresses) return std::move(addresses).error();
    into = *std::move(addresses);
    return {};
  }

  Result<net::Addresses> resolve(const client::Endpoint& to) {
    auto addresses = net::resolve(to.host, to.port, deadline_, stop_.token());
    if (!addresses) {
      const bool late = addresses.error().code() == Errc::timed_out;
      if (late) return Error(Errc::handshake_timeout, "resolve " + to.host);
      return std::move(addresses).error();
    }
    return client::of_family(*std::move(addresses), options_, to.host);
  }

  Result<void> secure_proxy(const client::ProxyServer& proxy) {
    auto context = context_of(proxy.tls);
    if (!context) return std::move(context).error();
    const std::string& name = proxy.tls.server_name.empty() ? proxy.host : proxy.tls.server_name;
    return wrap(*std::move(context), name, proxy.port, 0);
  }

  // Makes the proxy connect to the server.
  Result<void> tunnel(const Route& route) {
    const client::ProxyServer& proxy = *route.proxy;
    client::Tunnel tunnel(proxy, route.tunnel_to.host, route.tunnel_to.port, options_.user_agent,
                          options_.limits);
    for (;;) {
      const auto state = tunnel.advance(*transport_);
      if (state == client::Tunnel::State::done) return {};
      if (state == client::Tunnel::State::failed) return tunnel.error();
      if (auto ready = wait(state, proxy.name()); !ready) return ready;
    }
  }

  Result<void> wait(client::Tunnel::State state, std::string_view stage) {
    const bool writes = state == client::Tunnel::State::wait_write || transport_->has_unsent();
    const bool reads = state == client::Tunnel::State::wait_read;
    const int events = (writes ? POLLOUT : 0) | (reads ? POLLIN : 0);
    pollfd descriptors[] = {{transport_->fd(), static_cast<short>(events), 0},
                            {stop_.fd(), POLLIN, 0}};
    const std::size_t count = stop_.fd() >= 0 ? 2 : 1;
    const bool is_ready = client::poll_until(std::span(descriptors).first(count), deadline_);
    if (stop_.requested()) return Error(Errc::stopped, stage);
    if (!is_ready) return Error(Errc::handshake_timeout, stage);
    return {};
  }

  Result<void> wrap(std::shared_ptr<tls::ClientContext> context, const std::string& name,
                    std::uint16_t port, std::size_t layer) {
    // Each layer has buffers of its own, because the inner one calls the outer one while it works.
    if (scratch_ == nullptr) scratch_ = std::make_unique<tls::Scratch[]>(2);
    transport_ = tls::TlsTransport::client(std::move(transport_), std::move(context), name, port,
                                           scratch_[layer]);
    if (transport_ == nullptr) return Errc::no_memory;
    return {};
  }

  Result<BlockingClient> upgrade(const Route& route) {
    auto session = std::make_unique<client::Session>(std::move(transport_), std::move(scratch_),
                                                     options_, client::name_of(url_),
                                                     std::move(remote_address_), clock_);
    if (auto begun = session->begin(route.request, deadline_); !begun) return begun.error();
    Result<void> opened;
    {
      const std::stop_callback end(options_.stop, [&] { session->terminate(Errc::stopped); });
      opened = session->open();
    }
    if (!opened) return opened.error();
    // A stop that came right behind the 101 has ended the session, too.
    if (stop_.requested()) return Error(Errc::stopped, "upgrade " + client::name_of(url_));
    if (options_.stop.stop_possible()) session->close_at(options_.stop);
    return BlockingClient(std::move(session));
  }

  const http::Url& url_;
  const DialOptions& options_;
  const Clock::time_point deadline_;
  const client::StopSignal& stop_;
  client::StageClock clock_;
  net::Fd given_{};
  std::shared_ptr<tls::ClientContext> context_{};
  net::Addresses addresses_{};
  std::string remote_address_{};
  std::unique_ptr<tls::Scratch[]> scratch_{};
  std::unique_ptr<net::Transport> transport_{};
};

Result<BlockingClient> dial_until(http::Url url, const DialOptions& options,
                                  Clock::time_point deadline, Clock::time_point began,
                                  net::Fd given) {
  const client::StopSignal stop(options.stop);
  // Does not own the options, which live longer.
  client::Destination to(std::move(url),
                         std::shared_ptr<const DialOptions>(std::shared_ptr<void>(), &options));
  for (;;) {
    if (stop.requested()) return Error(Errc::stopped, "dial " + client::name_of(to.url()));
    auto opened =
        Opening(to.url(), to.options(), deadline, stop, began).go(std::exchange(given, net::Fd()));
    if (opened) return opened;
    auto followed = to.follow(opened.error());
    if (!followed) return std::move(followed).error();
    if (!*followed) return opened;
  }
}

}  // namespace

Result<BlockingClient> dial(std::string_view url, const DialOptions& options) {
  const auto began = Clock::now();
  net::Fd given(options.socket);
  const auto deadline = client::deadline_after(options.timeout);
  try {
    auto parsed = http::parse_url(url);
    if (!parsed) return std::move(parsed).error();
    if (auto checked = client::check_options(*parsed, options); !checked) return checked.error();
    return dial_until(*std::move(parsed), options, deadline, began, std::move(given));
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

bool is_transient(const Error& failure) noexcept {
  return client::judge(failure) == client::Verdict::transient;
}

BlockingClient::BlockingClient(std::unique_ptr<client::Session> session) noexcept
    : session_(std::move(session)) {}
BlockingClient::BlockingClient(BlockingClient&&) noexcept = default;
BlockingClient& BlockingClient::operator=(BlockingClient&&) noexcept = default;
BlockingClient::~BlockingClient() = default;

Result<MessageType> BlockingClient::receive(std::string& payload) {
  return session_->receive(payload, client::Clock::time_point::max());
}

Result<MessageType> BlockingClient::receive(std::string& payload,
                                            std::chrono::nanoseconds timeout) {
  return session_->receive(payload, client::deadline_after(timeout));
}

Result<void> BlockingClient::send(Message message, SendOptions options) {
  return session_->send(message, options);
}

Result<void> BlockingClient::ping(std::span<const std::byte> payload) {
  return session_->ping(payload);
}

bool BlockingClient::close(CloseCode code, std::string_view reason,
                           std::chrono::nanoseconds timeout) {
  return session_->close(code, reason, timeout);
}

void BlockingClient::terminate() noexcept { session_->terminate(); }

CloseInfo BlockingClient::close_info() const { return session_->close_info(); }

std::string_view BlockingClient::protocol() const noexcept { return session_->protocol(); }

std::optional<DeflateAgreement> BlockingClient::deflate() const { return session_->deflate(); }

std::optional<RoundTrip> BlockingClient::rtt() const { return session_->rtt(); }

StageTimes BlockingClient::times() const noexcept { return session_->times(); }

std::string BlockingClient::header(std::string_view name) const { return session_->header(name); }

std::string BlockingClient::remote_address() const { return session_->remote_address(); }

}  // namespace tern
