// Finds the way to a server. A Unix socket and a given socket come before a proxy, because they
// lead to a place that no proxy can reach. `connect_to` changes only the address of the
// connection, so Host and the name for TLS stay those of the URL.
#include "client/route.h"

#include "client/redirect.h"
#include "engine/validate.h"
#include "http/authority.h"
#include "http/token.h"
#include "net/address.h"
#include "net/unix_socket.h"

#include <algorithm>
#include <utility>

namespace tern::client {
namespace {

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

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto authority = http::parse_authority(text);
  if (!authority || !authority->port || *authority->port == 0) return {};
  return Endpoint{std::string(authority->host), *authority->port};
}

std::optional<net::Address> parse_source(const DialOptions& options) {
  if (options.source_address.empty()) return {};
  return net::Address::parse(options.source_address, 0);
}

bool is_family(const net::Address& address, AddressFamily family) noexcept {
  const bool is_ipv4 = address.bytes().size() == 4;
  return family == AddressFamily::any || is_ipv4 == (family == AddressFamily::ipv4);
}

// Explains why the options for the way to the server can never work, and names the option. Returns
// an empty text if they can work.
std::string why_invalid_way(const http::Url& url, const DialOptions& options) {
  const int ways = (options.unix_socket.empty() ? 0 : 1) + (options.connect_to.empty() ? 0 : 1) +
                   (options.socket >= 0 ? 1 : 0) + (url.unix_path.empty() ? 0 : 1);
  if (ways > 1) return "unix_socket, connect_to, socket and a ws+unix:// URL exclude each other";
  if (options.unix_socket.size() > net::max_unix_path) return "unix_socket: over 107 bytes";
  if (options.unix_socket.find('\0', 1) != options.unix_socket.npos)
    return "unix_socket: has a NUL";
  if (!options.connect_to.empty() && !parse_endpoint(options.connect_to)) {
    return "connect_to: not a host and a port";
  }
  if (!options.host.empty() && !http::parse_authority(options.host)) {
    return "host: not a host with or without a port";
  }
  if (options.max_redirects < 0) return "max_redirects: negative";
  if (options.source_address.empty()) return {};
  const auto source = parse_source(options);
  if (!source) return "source_address: not a numeric address";
  if (!is_family(*source, options.family)) return "source_address: not of the family";
  return {};
}

// The same for all options except those for the request.
std::string why_invalid(const http::Url& url, const DialOptions& options) {
  const std::string name = expected_name(url, options.tls);
  if (url.secure && !is_server_name(name)) return '"' + name + "\" is no name of a server";
  std::string why = engine::why_invalid_time("timeout", options.timeout, true);
  if (why.empty()) why = engine::why_invalid(options.limits);
  if (why.empty()) {
    Timeouts used = options.timeouts;
    used.handshake = Timeouts().handshake;  // a client does not use it
    why = engine::why_invalid(used);
  }
  return why.empty() ? why_invalid_way(url, options) : why;
}

// The same for the options for the request.
std::string why_invalid_request(const DialOptions& options) {
  std::string why = engine::why_invalid_protocols(options.protocols);
  if (why.empty()) why = engine::why_invalid_headers(options.headers);
  if (!why.empty()) return why;
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(options.headers,
                               [&](const auto& field) { return http::iequals(field.first, name); });
  };
  if (has("Host")) return "headers: header field \"Host\": use DialOptions::host";
  if (options.user_agent.empty()) return {};
  if (has("User-Agent")) return "headers: header field \"User-Agent\": user_agent is set, too";
  return http::is_field_value(options.user_agent) ? "" : "user_agent: has a control character";
}

ClientRequest request_of(const http::Url& url, const DialOptions& options) {
  ClientRequest request{.host = options.host.empty() ? url.host_header() : options.host,
                        .target = url.target,
                        .protocols = options.protocols,
                        .headers = options.headers};
  if (!options.user_agent.empty()) request.headers.emplace_back("User-Agent", options.user_agent);
  return request;
}

}  // namespace

std::string name_of(const http::Url& url) {
  const std::string target = url.target.substr(0, url.target.find('?'));
  const std::string scheme = url.secure ? "wss" : "ws";
  if (url.unix_path.empty()) return scheme + "://" + url.host_header() + target;
  const bool hidden = url.unix_path.front() == '\0';  // an abstract name, which text shows as '@'
  return scheme + "+unix://" + (hidden ? '@' + url.unix_path.substr(1) : url.unix_path) + ':' +
         target;
}

Result<void> check_options(const http::Url& url, const DialOptions& options) {
  const std::string stage = "dial " + name_of(url) + ": ";
  if (const std::string why = why_invalid(url, options); !why.empty()) {
    return Error::described(Errc::options_invalid, stage + why);
  }
  if (const std::string why = why_invalid_request(options); !why.empty()) {
    return Error::described(Errc::invalid_header, stage + why);
  }
  return {};
}

Result<Route> find_route(const http::Url& url, const DialOptions& options,
                         Environment environment) {
  Route route{.from = parse_source(options),
              .server_name = expected_name(url, options.tls),
              .request = request_of(url, options)};
  if (options.socket >= 0) {
    route.first_hop = Route::FirstHop::given_socket;
    return route;
  }
  route.unix_path = url.unix_path.empty() ? options.unix_socket : url.unix_path;
  if (!route.unix_path.empty()) {
    route.first_hop = Route::FirstHop::unix_socket;
    return route;
  }
  route.connect_to = parse_endpoint(options.connect_to).value_or(Endpoint{url.host, url.port});
  auto proxy = choose_proxy(options.proxy, url, environment);
  if (!proxy) {
    return Error::described(Errc::options_invalid,
                            "dial " + name_of(url) + ": " + proxy.error().message());
  }
  if (*proxy) {
    route.proxy = **std::move(proxy);
    route.tunnel_to =
        std::exchange(route.connect_to, Endpoint{route.proxy->host, route.proxy->port});
  }
  return route;
}

Result<net::Addresses> of_family(net::Addresses addresses, const DialOptions& options,
                                 std::string_view host) {
  AddressFamily family = options.family;
  if (const auto source = parse_source(options)) {
    family = source->bytes().size() == 4 ? AddressFamily::ipv4 : AddressFamily::ipv6;
  }
  std::erase_if(addresses, [&](const net::Address& one) { return !is_family(one, family); });
  if (!addresses.empty()) return addresses;
  const std::string_view name = family == AddressFamily::ipv4 ? "IPv4" : "IPv6";
  return Error(Errc::name_not_resolved,
               "resolve " + std::string(host) + " (" + std::string(name) + ")");
}

DialOptions options_after_redirect(const DialOptions& options, const http::Url& from,
                                   const http::Url& to) {
  DialOptions next = options;
  if (is_same_origin(from, to)) return next;
  next.headers = fields_for_other_origin(options.headers);
  next.host.clear();
  next.connect_to.clear();
  next.tls.server_name.clear();
  next.tls.certificate = {};
  return next;
}

}  // namespace tern::client
