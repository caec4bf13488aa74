#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tern::http {

/// `host [ ":" port ]` (RFC 3986 §3.2), as in Host fields, origins and URLs.
struct Authority {
  std::string_view host{};  ///< not empty; an IPv6 literal without brackets, and only it has ':'
  std::optional<std::uint16_t> port{};  ///< absent also in "host:"
};

/// Nothing for an empty host, user information, a port over 65535, IPvFuture and zone identifiers.
/// Lifetime of the views: `text`.
std::optional<Authority> parse_authority(std::string_view text) noexcept;

/// Whether it is the text form of an IPv6 address, RFC 3986 §3.2.2.
bool is_ipv6_address(std::string_view text) noexcept;

}  // namespace tern::http
