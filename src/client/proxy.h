#pragma once

#include "tern/error.h"
#include "tern/proxy.h"
#include "tern/tls.h"

#include "client/no_proxy.h"
#include "http/url.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern::client {

/// A name and a password.
struct Credentials {
  std::string name{};
  std::string password{};
};

/// One proxy.
struct ProxyServer {
  enum class Protocol : std::uint8_t {
    http,     ///< CONNECT
    https,    ///< CONNECT, over TLS
    socks5,   ///< the client resolves names
    socks5h,  ///< the proxy resolves names
  };
  Protocol protocol = Protocol::http;
  std::string host{};  ///< an IPv6 address without brackets
  std::uint16_t port = 0;
  std::optional<Credentials> credentials{};
  TlsClient tls{};  ///< for https

  /// "proxy 192.0.2.1:3128", for errors. Throws std::bad_alloc.
  std::string name() const;
};

/// The progress of a handshake with a proxy.
enum class ProxyStatus : std::uint8_t {
  more,    ///< the handshake goes on
  done,    ///< the tunnel is open; all further bytes belong to it
  failed,  ///< error() says why; the connection is of no more use
};

/// The settings behind a Proxy.
struct ProxySettings {
  std::optional<ProxyServer> server{};       ///< absent: the environment's
  std::optional<NoProxy> bypass{};           ///< absent: the environment's
  std::optional<Credentials> credentials{};  ///< absent: those of the URL
  TlsClient tls{};
};

/// Returns the value of a variable of the environment; null: it is not set.
using Environment = const char* (*)(const char* name);

/// Returns the proxy for this URL, or nothing if the host is reached straight.
/// Errors: Errc::options_invalid, naming the variable of the environment. Throws std::bad_alloc.
Result<std::optional<ProxyServer>> choose_proxy(const Proxy& proxy, const http::Url& url,
                                                Environment environment);

/// Parses the URL of a proxy as Proxy::parse does. Errors: Errc::options_invalid.
Result<ProxyServer> parse_proxy(std::string_view url);

}  // namespace tern::client
