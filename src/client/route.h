#pragma once

#include "tern/dial.h"
#include "tern/error.h"
#include "tern/http.h"

#include "client/proxy.h"
#include "http/url.h"
#include "net/address.h"
#include "net/resolver.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern::client {

/// A host (an IPv6 address without brackets) and a port.
struct Endpoint {
  std::string host{};
  std::uint16_t port = 0;
};

/// The way of one attempt to the server: the address to connect to, the proxy behind it, and the
/// request. It depends only on the URL, the options and the environment.
struct Route {
  enum class FirstHop : std::uint8_t { tcp, unix_socket, given_socket };

  FirstHop first_hop = FirstHop::tcp;
  Endpoint connect_to{};               ///< tcp: the host to resolve and connect to
  std::string unix_path{};             ///< unix_socket: its path
  std::optional<ProxyServer> proxy{};  ///< the proxy at the first hop, if there is one
  Endpoint tunnel_to{};                ///< the server that the proxy connects to
  std::optional<net::Address> from{};  ///< our own address
  std::string server_name{};           ///< wss: the name that the certificate must have
  ClientRequest request{};             ///< the upgrade
};

/// The URL for people: without its query, which may hold secrets. Throws std::bad_alloc.
std::string name_of(const http::Url& url);

/// Checks all options that cannot depend on the network. Errors: options_invalid and
/// invalid_header; the message names the option. Throws std::bad_alloc.
Result<void> check_options(const http::Url& url, const DialOptions& options);

/// Returns the way to `url`. Errors: options_invalid, for a variable of the environment that names
/// no proxy. Throws std::bad_alloc.
Result<Route> find_route(const http::Url& url, const DialOptions& options, Environment environment);

/// Returns the addresses of a host that have the wanted family. Errors: name_not_resolved if none
/// has. Throws std::bad_alloc.
Result<net::Addresses> of_family(net::Addresses addresses, const DialOptions& options,
                                 std::string_view host);

/// Returns the options for the URL to which a redirect leads: nothing that
/// may be a secret goes to another origin. Throws std::bad_alloc.
DialOptions options_after_redirect(const DialOptions& options, const http::Url& from,
                                   const http::Url& to);

}  // namespace tern::client
