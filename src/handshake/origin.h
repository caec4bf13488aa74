#pragma once

#include "tern/http.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::handshake {

/// How the client reached this server. It decides which scheme the pages of this server have.
enum class Security : std::uint8_t {
  plain,
  tls,
  unknown,  ///< a proxy that does not tell the scheme: pages may have either
};

/// This server as the client sees it; its host is Request::host().
struct Site {
  Site(Security how, bool lacks_port = false) noexcept : security(how), may_lack_port(lacks_port) {}

  Security security;
  /// A proxy may have removed the port of Host, so a Host without port fits to any port of Origin.
  bool may_lack_port;
};

/// Why this entry of a list of allowed origins can match no Origin field, and what to write
/// instead. The entry and this text form a sentence. Empty if the entry can match. Throws
/// std::bad_alloc.
std::string why_no_origin(std::string_view entry);

/// Whether the page that sent the request may open a connection. A request without Origin passes:
/// browsers always send Origin, so it is from a program, and a program could send any Origin.
/// Otherwise the Origin must be that of a page of this server, or one of `allowed`. A page of this
/// server has the scheme http (or ws) for `plain` and https (or wss) for `tls`, and the host (in
/// any case) and port of Request::host(). A port that is absent on either side is the default of
/// the scheme.
/// An entry of `allowed` is an origin in serialised form (RFC 6454 §6.2), e.g.
/// "https://example.org". Scheme and host compare in any case, and a default port equals an absent
/// one. "*" matches any Origin. RFC 6455 §10.2.
bool origin_passes(const Request& request, std::span<const std::string> allowed,
                   Site site) noexcept;

}  // namespace tern::handshake
