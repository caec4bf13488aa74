#pragma once

#include "tern/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::nats {

/// The parts of the URL of a NATS server. Owns its strings.
struct ServerUrl {
  bool secure = false;  ///< tls://
  std::string host{};   ///< an IPv6 address has no brackets
  std::uint16_t port = 4222;
  std::string user{};      ///< decoded; empty: none
  std::string password{};  ///< decoded
  std::string token{};     ///< decoded; of "nats://token@host"

  /// The URL without user, password and token, for libnats and for people: "nats://host:port".
  std::string plain() const;
};

/// Parses "nats://[user:password@|token@]host[:port][/]" or "tls://…". User, password and token are
/// percent-decoded. An IPv6 address stands in brackets. Errors: Errc::options_invalid. Its text
/// does not repeat the URL, because the URL has a password. Throws std::bad_alloc.
Result<ServerUrl> parse_server_url(std::string_view text);

}  // namespace tern::nats
