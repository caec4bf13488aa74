// Options of a server behind proxies, and the facts that proxies send about their clients.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// The header fields of a trusted proxy that the server uses. A client can send the fields of the
/// other kind through a proxy that does not know them, so those are never read.
enum class TrustedHeader : std::uint8_t {
  x_forwarded,  ///< X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host
  forwarded,    ///< Forwarded, RFC 7239
};

/// The PROXY protocol of HAProxy, versions 1 and 2: in front of each connection, before TLS, the
/// proxy sends a header with the addresses of its client.
struct ProxyProtocol {
  /// The proxies that send it: addresses and networks, as "127.0.0.1" or "10.0.0.0/8", and "unix:"
  /// for all peers of Unix sockets. A connection from one of them that does not begin with a header
  /// within Timeouts::handshake ends. From any other peer a header is no valid request.
  std::vector<std::string> from{};
};

/// The contents of a PROXY header beside the addresses. Lifetime of the views: that of
/// the Request.
struct ProxyHeader {
  std::string_view authority{};     ///< the host that the client named in TLS (SNI); empty if none
  std::string_view unique_id{};     ///< the proxy's identifier of the connection, at most 128 bytes
  bool tells_tls = false;           ///< the header has PP2_TYPE_SSL, which fills the fields below
  bool tls = false;                 ///< the client speaks TLS to the proxy
  bool client_certificate = false;  ///< the client showed a certificate
  bool verified = false;            ///< and the proxy verified it
  std::string_view tls_version{};   ///< e.g. "TLSv1.3"; empty if the proxy sent none
  std::string_view tls_cipher{};    ///< empty if the proxy sent none
  std::string_view common_name{};   ///< of the client's certificate; empty if there is none
};

/// The way by which a client reached the proxy in front of this server, in the words of the proxy.
/// A driver passes it to Engine::reached().
struct Reached {
  std::string host{};            ///< the host that the client named; empty: that of Host
  std::optional<bool> secure{};  ///< whether the client speaks TLS; absent: not known
  /// Host may have lost its port on the way, so the origin rule compares a Host without port only
  /// by its name.
  bool may_lack_port = false;
};

}  // namespace tern
