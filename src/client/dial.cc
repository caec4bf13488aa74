// dial(): URL ─▶ addresses ─▶ socket ─▶ upgraded session, under one absolute deadline. Each stage
// names itself in its error, so that people see which stage failed.
#include "tern/dial.h"

#include "client/connect.h"
#include "client/session.h"
#include "client/wait.h"
#include "engine/validate.h"
#include "http/token.h"
#include "http/url.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "tls/transport.h"

#include <algorithm>
#include <new>

namespace tern {
namespace {

// The URL for people. It has no query, because queries may carry secrets.
std::string name_of(const http::Url& url) {
  return (url.secure ? "wss://" : "ws://") + url.host_header() +
         url.target.substr(0, url.target.find('?'));
}

Result<std::shared_ptr<tls::ClientContext>> context_of(const TlsClient& options) {
  if (options.memory != nullptr) return options.memory->contexts().get(options);
  return tls::ClientContext::load(options);
}

// A name in a certificate has no dot at its end (RFC 6066 §3).
std::string expected_name(const http::Url& url, const TlsClient& options) {
  std::string name = options.server_name.empty() ? url.host : options.server_name;
  if (name.ends_with('.')) name.pop_back();
  return name;
}

// No certificate names a server by an empty name. For a name that begins with a dot, OpenSSL
// accepts every subdomain, so that one server could pass for another.
bool is_server_name(std::string_view name) noexcept {
  return !name.empty() && !name.starts_with('.') && name.find('\0') == std::string_view::npos;
}

// Why these options can never work; the text names the option. Empty if they can.
std::string why_invalid(const http::Url& url, const DialOptions& options) {
  const std::string name = expected_name(url, options.tls);
  if (url.secure && !is_server_name(name)) return '"' + name + "\" is no name of a server";
  std::string why = engine::why_invalid_time("timeout", options.timeout, true);
  if (why.empty()) why = engine::why_invalid(options.limits);
  if (why.empty()) {
    Timeouts used = options.timeouts;
    used.handshake = Timeouts().handshake;  // dial() does not use it
    why = engine::why_invalid(used);
  }
  return why;
}

// Does the same for the parts of the request.
std::string why_invalid_request(const DialOptions& options) {
  std::string why = engine::why_invalid_protocols(options.protocols);
  if (why.empty()) why = engine::why_invalid_headers(options.headers);
  const auto is_host = [](const auto& field) { return http::iequals(field.first, "Host"); };
  if (why.empty() && std::ranges::any_of(options.headers, is_host)) {
    why = "headers: header field \"Host\": tern writes this field itself";
  }
  return why;
}

Result<BlockingClient> dial_until(const http::Url& url, const DialOptions& options,
                                  client::Clock::time_point deadline) {
  const std::string name = name_of(url);
  std::shared_ptr<tls::ClientContext> context;
  if (url.secure) {
    auto loaded = context_of(options.tls);
    if (!loaded) return std::move(loaded).error();
    context = *std::move(loaded);
  }

  auto addresses = net::resolve(url.host, url.port, deadline);
  if (!addresses && addresses.error().code() == Errc::timed_out) {
    return Error(Errc::handshake_timeout, "resolve " + url.host);
  }
  if (!addresses) return std::move(addresses).error();

  auto socket = client::connect_any(*addresses, deadline);
  if (!socket) return std::move(socket).error();
  net::set_nodelay(socket->get());  // an error is ignored: it only costs speed
  const std::string remote_address = net::peer_address(socket->get()).to_string();

  std::unique_ptr<net::Transport> transport =
      std::make_unique<net::TcpTransport>(*std::move(socket));
  std::unique_ptr<tls::Scratch> scratch;
  if (context != nullptr) {
    scratch = std::make_unique<tls::Scratch>();
    transport = tls::TlsTransport::client(std::move(transport), std::move(context),
                                          expected_name(url, options.tls), url.port, *scratch);
    if (transport == nullptr) return Errc::no_memory;
  }
  auto session = std::make_unique<client::Session>(std::move(transport), std::move(scratch),
                                                   options, name, remote_address);
  const ClientRequest request{.host = url.host_header(),
                              .target = url.target,
                              .protocols = options.protocols,
                              .headers = options.headers};
  if (auto opened = session->open(request, deadline); !opened) return opened.error();
  return BlockingClient(std::move(session));
}

}  // namespace

Result<BlockingClient> dial(std::string_view url, const DialOptions& options) {
  const auto deadline = client::deadline_after(options.timeout);
  try {
    auto parsed = http::parse_url(url);
    if (!parsed) return std::move(parsed).error();
    const std::string stage = "dial " + name_of(*parsed) + ": ";
    if (const std::string why = why_invalid(*parsed, options); !why.empty()) {
      return Error::described(Errc::options_invalid, stage + why);
    }
    if (const std::string why = why_invalid_request(options); !why.empty()) {
      return Error::described(Errc::invalid_header, stage + why);
    }
    return dial_until(*parsed, options, deadline);
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
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
