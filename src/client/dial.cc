// dial(): URL ─▶ route ─▶ socket ─▶ TLS to a proxy ─▶ tunnel ─▶ TLS ─▶ upgraded session, under one
// absolute deadline. Each stage names itself in its error, so that the text says how far it came. A
// redirect begins the way again, under the same deadline.
#include "tern/dial.h"

#include "client/connect.h"
#include "client/redirect.h"
#include "client/retry.h"
#include "client/route.h"
#include "client/session.h"
#include "client/stop.h"
#include "client/tunnel.h"
#include "client/wait.h"
#include "http/url.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "tls/transport.h"

#include <cstdlib>
#include <new>
#include <utility>

namespace tern {
namespace {

using client::Clock;
using client::Route;

const char* environment(const char* name) { return std::getenv(name); }

Result<std::shared_ptr<tls::ClientContext>> context_of(const TlsClient& options) {
  if (options.memory != nullptr) return options.memory->contexts().get(options);
  return tls::ClientContext::load(options);
}

// One way to a server, step by step.
class Way {
 public:
  Way(const http::Url& url, const DialOptions& options, Clock::time_point deadline,
      const client::StopSignal& stop) noexcept
      : url_(url), options_(options), deadline_(deadline), stop_(stop) {}

  // Takes over the given socket, if there is one.
  Result<BlockingClient> go(net::Fd given) {
    // Certificates are loaded first, so that wrong ones fail before any connection is made.
    std::shared_ptr<tls::ClientContext> context;
    if (url_.secure) {
      auto loaded = context_of(options_.tls);
      if (!loaded) return std::move(loaded).error();
      context = *std::move(loaded);
    }
    auto route = client::find_route(url_, options_, environment);
    if (!route) return std::move(route).error();

    auto socket = route->first_hop == Route::FirstHop::given_socket ? take(std::move(given))
                                                                    : connect(*route);
    if (!socket) return std::move(socket).error();
    std::string remote_address = route->first_hop == Route::FirstHop::unix_socket
                                     ? "unix:" + options_.unix_socket + url_.unix_path
                                     : net::peer_address(socket->get()).to_string();
    transport_ = std::make_unique<net::TcpTransport>(*std::move(socket));
    if (route->proxy) {
      if (auto passed = pass(*route); !passed) return passed.error();
    }
    if (context != nullptr) {
      if (auto wrapped = wrap(std::move(context), route->server_name, url_.port, 1); !wrapped) {
        return wrapped.error();
      }
    }
    return upgrade(*route, std::move(remote_address));
  }

 private:
  Result<net::Fd> take(net::Fd given) {
    if (const auto error = net::set_nonblocking(given.get())) return Error(error, "socket");
    return given;
  }

  Result<net::Fd> connect(const Route& route) {
    if (route.first_hop == Route::FirstHop::unix_socket) {
      net::Opened opened = net::connect_unix(route.unix_path);
      if (!opened) return Error(opened.error, "connect " + client::name_of(url_));
      return std::move(opened.fd);
    }
    auto addresses = resolve(route.connect_to);
    if (!addresses) return std::move(addresses).error();
    auto socket = client::connect_any(*addresses,
                                      {.deadline = deadline_, .from = route.from, .stop = &stop_});
    if (socket) net::set_nodelay(socket->get());  // an error is ignored: it only costs speed
    return socket;
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

  // Makes the proxy connect to the server.
  Result<void> pass(Route& route) {
    const client::ProxyServer& proxy = *route.proxy;
    if (proxy.protocol == client::ProxyServer::Protocol::https) {
      auto context = context_of(proxy.tls);
      if (!context) return std::move(context).error();
      const std::string& name = proxy.tls.server_name.empty() ? proxy.host : proxy.tls.server_name;
      if (auto wrapped = wrap(*std::move(context), name, proxy.port, 0); !wrapped) return wrapped;
    }
    if (proxy.protocol == client::ProxyServer::Protocol::socks5) {
      auto addresses = resolve(route.tunnel_to);
      if (!addresses) return std::move(addresses).error();
      route.tunnel_to.host = addresses->front().host();
    }
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

  Result<BlockingClient> upgrade(const Route& route, std::string remote_address) {
    auto session =
        std::make_unique<client::Session>(std::move(transport_), std::move(scratch_), options_,
                                          client::name_of(url_), std::move(remote_address));
    if (auto begun = session->begin(route.request, deadline_); !begun) return begun.error();
    Result<void> opened;
    {
      const std::stop_callback end(options_.stop, [&] { session->terminate(); });
      opened = session->open();
    }
    if (opened) return BlockingClient(std::move(session));
    const bool stopped = opened.error().code() == Errc::terminated && stop_.requested();
    if (stopped) return Error(Errc::stopped, "upgrade " + client::name_of(url_));
    return opened.error();
  }

  const http::Url& url_;
  const DialOptions& options_;
  const Clock::time_point deadline_;
  const client::StopSignal& stop_;
  std::unique_ptr<tls::Scratch[]> scratch_{};
  std::unique_ptr<net::Transport> transport_{};
};

// Whether the failure of an attempt is a redirect that these options want to be followed.
bool is_redirected(const DialOptions& options, const Error& failure) noexcept {
  return failure.code() == Errc::upgrade_refused && client::is_redirect(failure.http_status()) &&
         options.max_redirects > 0 && options.socket < 0;
}

// The URL to which the attempt is redirected. Errors: why it may not be followed.
Result<http::Url> redirection(const http::Url& url, const DialOptions& options,
                              const Error& failure, int followed) {
  if (followed == options.max_redirects) {
    return Error(Errc::too_many_redirects, "dial " + client::name_of(url));
  }
  auto to = client::follow(url, failure.header("Location"));
  if (!to) return std::move(to).error();
  const bool by_path = !url.unix_path.empty() || !options.unix_socket.empty();
  if (by_path && !client::is_same_origin(url, *to)) {
    return Error::described(Errc::redirect_refused,
                            "redirect: it leads from a Unix socket to another host");
  }
  to->unix_path = url.unix_path;
  return to;
}

Result<BlockingClient> dial_until(http::Url url, const DialOptions& first,
                                  Clock::time_point deadline, net::Fd given) {
  const client::StopSignal stop(first.stop);
  DialOptions options = first;
  for (int followed = 0;; ++followed) {
    if (stop.requested()) return Error(Errc::stopped, "dial " + client::name_of(url));
    auto opened = Way(url, options, deadline, stop).go(std::exchange(given, net::Fd()));
    if (opened || !is_redirected(options, opened.error())) return opened;
    auto next = redirection(url, options, opened.error(), followed);
    if (!next) return std::move(next).error();
    options = client::options_after_redirect(options, url, *next);
    url = *std::move(next);
  }
}

}  // namespace

Result<BlockingClient> dial(std::string_view url, const DialOptions& options) {
  net::Fd given(options.socket);
  const auto deadline = client::deadline_after(options.timeout);
  try {
    auto parsed = http::parse_url(url);
    if (!parsed) return std::move(parsed).error();
    if (auto checked = client::check_options(*parsed, options); !checked) return checked.error();
    return dial_until(*std::move(parsed), options, deadline, std::move(given));
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

std::string BlockingClient::header(std::string_view name) const { return session_->header(name); }

std::string BlockingClient::remote_address() const { return session_->remote_address(); }

}  // namespace tern
