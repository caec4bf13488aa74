#pragma once

#include "tern/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern::redis {

/// The place of one server, and what the client says to it first.
struct Address {
  std::string host{};  ///< an IPv6 address has no brackets; empty: a Unix socket
  std::uint16_t port = 6379;
  std::string unix_path{};
  std::string username{};  ///< empty: the default user
  std::string password{};  ///< empty: no AUTH
  int database = 0;

  /// "redis://192.0.2.1:6379" or "unix:///run/redis.sock", for people. It has no credentials.
  /// Throws std::bad_alloc.
  std::string name() const;
};

/// Parses addresses that commas separate. Each is one of
///   host[:port]                                     /path/of/a/socket
///   redis://[user][:password]@host[:port][/database]
///   unix://[user][:password]@/path[?db=database]
/// User, password and path are percent-decoded, so that they can contain ',', '@' and '/'.
/// Errors: Errc::options_invalid. The text has the number of the address in the list. It does not
/// repeat the address, because it has a password.
/// Throws std::bad_alloc.
Result<std::vector<Address>> parse_addresses(std::string_view text);

}  // namespace tern::redis
