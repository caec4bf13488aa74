// Blocks of addresses in CIDR notation. An Address never holds an IPv4 address that is mapped into
// IPv6, so a block and an address of one family are compared byte by byte.

#include "net/network.h"

#include <charconv>
#include <cstring>

namespace tern::net {
namespace {

constexpr unsigned v4_bits = 32;
constexpr unsigned v6_bits = 128;
constexpr unsigned mapped_bits = v6_bits - v4_bits;  // of ::ffff:0:0/96, RFC 4291 §2.5.5.2

std::optional<unsigned> parse_bits(std::string_view text) noexcept {
  unsigned bits = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, bits);
  if (result.ec != std::errc() || result.ptr != end) return {};
  return bits;
}

}  // namespace

std::optional<Network> Network::parse(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const auto base = Address::parse(host, 0);
  if (!base) return {};

  const unsigned most = base->family() == AF_INET ? v4_bits : v6_bits;
  if (slash == std::string_view::npos) return Network(*base, most);
  auto bits = parse_bits(text.substr(slash + 1));
  if (!bits) return {};
  if (most == v4_bits && host.find(':') != std::string_view::npos) {
    // The block of a mapped address: "::ffff:10.0.0.0/104" is 10.0.0.0/8.
    if (*bits < mapped_bits) return {};
    *bits -= mapped_bits;
  }
  if (*bits > most) return {};
  return Network(*base, *bits);
}

bool Network::contains(const Address& address) const noexcept {
  if (address.family() != base_.family()) return false;
  const auto ours = base_.bytes();
  const auto theirs = address.bytes();
  const std::size_t whole = prefix_bits_ / 8;
  if (std::memcmp(ours.data(), theirs.data(), whole) != 0) return false;
  const unsigned rest = prefix_bits_ % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xFFU << (8 - rest) & 0xFFU;
  return ((ours[whole] ^ theirs[whole]) & std::byte(mask)) == std::byte(0);
}

}  // namespace tern::net
