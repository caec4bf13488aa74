#pragma once

#include "tern/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::http {

/// The parts of a WebSocket URL (RFC 6455 §3). Owns its strings.
struct Url {
  bool secure = false;       ///< wss
  std::string host{};        ///< as given; an IPv6 address has no brackets
  std::uint16_t port = 80;   ///< never 0
  std::string target = "/";  ///< path and query in origin form: the resource name of §3
  /// Of ws+unix and wss+unix: the path of the Unix socket; '@' or NUL in front means an abstract
  /// name. Else empty.
  std::string unix_path{};

  /// The value of the Host field: an IPv6 address has brackets, a default port is left out.
  /// RFC 6455 §4.1.
  std::string host_header() const;
};

/// Parses "ws://host[:port][/path][?query]" or "wss://…"; the scheme may have any case. Or parses
/// "ws+unix://path[:target]" or "wss+unix://…", where `path` is that of a Unix socket and is
/// percent-decoded, so that it may contain ':' or '?'; the host is "localhost" then. Refuses
/// fragments (§3), user information, ports outside of 1-65535, percent-encoded hosts, and bytes
/// that are not visible ASCII. Errors: Errc::url_invalid. Its text says which part is wrong but
/// does not repeat the URL, because queries carry secrets. Throws std::bad_alloc. RFC 6455 §3.
Result<Url> parse_url(std::string_view text);

}  // namespace tern::http
