#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern::http {

/// `host [ ":" port ]` (RFC 3986 §3.2), as it stands in Host fields, origins and URLs.
struct Authority {
  std::string_view host{};  ///< not empty; an IPv6 address has no brackets; others have no ':'
  std::optional<std::uint16_t> port{};  ///< absent if there is none, and in "host:"
};

/// Parses a host and an optional port. Returns nothing for an empty host, user information, a port
/// over 65535, an IPvFuture or a zone identifier. Lifetime of the views: `text`. RFC 3986 §3.2.
std::optional<Authority> parse_authority(std::string_view text) noexcept;

/// Returns "host", and ":port" behind it if there is one; an IPv6 address gets brackets.
/// Throws std::bad_alloc.
std::string format_authority(std::string_view host, std::optional<std::uint16_t> port);

/// Whether `text` is an IPv4 address: four numbers up to 255 without leading zeros.
bool is_ipv4_address(std::string_view text) noexcept;
/// Whether `text` is an IPv6 address in text form. RFC 3986 §3.2.2.
bool is_ipv6_address(std::string_view text) noexcept;

}  // namespace tern::http
