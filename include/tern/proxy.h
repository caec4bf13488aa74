// Proxies that a client may pass: HTTP CONNECT and SOCKS5.
#pragma once

#include "tern/error.h"
#include "tern/tls.h"

#include <memory>
#include <string>
#include <string_view>

namespace tern {

namespace client {
struct ProxySettings;
}

/// The proxy through which a client connects. Copyable; copies share what is set.
/// URLs of Unix sockets and ready descriptors never use a proxy.
class Proxy {
 public:
  /// None: connects straight.
  Proxy() noexcept = default;

  /// Reads the environment at each attempt to connect, in lower case before upper case:
  ///   ws://   ws_proxy, http_proxy (only in lower case), all_proxy
  ///   wss://  wss_proxy, https_proxy, all_proxy
  /// The first that is set counts, also if it is empty, which means none. no_proxy lists the hosts
  /// that are reached straight, see bypass(). A value that is no proxy's URL is an error of the
  /// attempt. Throws std::bad_alloc.
  static Proxy from_environment();

  /// Parses "[scheme://][name[:password]@]host[:port]". Schemes: http (the default; port 80), https
  /// (TLS to the proxy; 443), socks5 (names are resolved here; 1080) and socks5h (the proxy
  /// resolves them; 1080). Name and password are percent-decoded.
  /// Errors: Errc::options_invalid; the message does not repeat the URL, because it may hold a
  /// password. Throws std::bad_alloc.
  static Result<Proxy> parse(std::string_view url);

  /// Names the hosts that are reached without the proxy, instead of the environment's no_proxy:
  /// entries separated by commas or blanks. An entry is `*` (every host), a name (with its
  /// subdomains), `.name` (the same), `*.name` (only subdomains), an address or a block as
  /// `10.0.0.0/8`, each with `:port` behind it if it holds for one port only.
  /// Throws std::bad_alloc.
  Proxy& bypass(std::string_view no_proxy);

  /// Sets the name and the password for the proxy, instead of those in the URL. An HTTP proxy gets
  /// them as Basic credentials (RFC 7617), a SOCKS5 proxy by RFC 1929 (1 to 255 bytes each).
  /// Throws std::bad_alloc.
  Proxy& credentials(std::string name, std::string password);

  /// Sets the options of TLS to an https:// proxy. Throws std::bad_alloc.
  Proxy& tls(TlsClient tls);

  /// For tern's own rooms; null: none.
  const client::ProxySettings* settings() const noexcept { return settings_.get(); }

 private:
  client::ProxySettings& change();

  std::shared_ptr<const client::ProxySettings> settings_{};
};

}  // namespace tern
