#pragma once

#include "tern/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::http {

/// Where a WebSocket URL leads (RFC 6455 §3). Owns its strings.
struct Url {
  bool secure = false;       ///< wss
  std::string host{};        ///< as given; an IPv6 literal without its brackets
  std::uint16_t port = 80;   ///< never 0
  std::string target = "/";  ///< path and query in origin form: the resource name of §3

  /// The value for the Host field: brackets around IPv6, no port where it is the default (§4.1).
  std::string host_header() const;
};

/// Parses "ws://host[:port][/path][?query]" or "wss://…", the scheme in any case. Errors:
/// Errc::url_invalid with a text that says which part is wrong, without repeating the URL, since
/// queries carry secrets. Refused are fragments (§3), user information, ports out of 1-65535,
/// percent-encoded hosts, and all that is not visible ASCII. Throws std::bad_alloc.
Result<Url> parse_url(std::string_view text);

}  // namespace tern::http
