// Blocks of addresses in CIDR notation. An Address never holds an IPv4 address that is mapped into
// IPv6, so a block and an address of one family are compared byte by byte.

#include "net/network.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tern::net {
namespace {

constexpr unsigned v4_bits = 32;
constexpr unsigned v6_bits = 128;
constexpr unsigned mapped_bits = v6_bits - v4_bits;  // of ::ffff:0:0/96, RFC 4291 §2.5.5.2

// The first `bits` bits of a byte.
std::byte mask_of(unsigned bits) noexcept { return std::byte(0xFFU << (8 - bits) & 0xFFU); }

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

// The lowest address of the block, without a port or a zone.
Address Network::first() const noexcept {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  const bool short_one = base_.family() == AF_INET;
  void* const into =
      short_one ? static_cast<void*>(&v4.sin_addr) : static_cast<void*>(&v6.sin6_addr);
  const std::size_t whole = prefix_bits_ / 8;
  std::memcpy(into, base_.bytes().data(), whole);
  if (const unsigned rest = prefix_bits_ % 8; rest != 0) {
    static_cast<std::byte*>(into)[whole] = base_.bytes()[whole] & mask_of(rest);
  }
  const auto made = short_one ? Address::from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                              : Address::from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  return made.value_or(base_);
}

bool Network::is_exact() const noexcept {
  const Address lowest = first();
  return std::ranges::equal(lowest.bytes(), base_.bytes());
}

std::string Network::to_string() const {
  return first().host() + '/' + std::to_string(prefix_bits_);
}

bool Network::contains(const Address& address) const noexcept {
  if (address.family() != base_.family()) return false;
  const auto ours = base_.bytes();
  const auto theirs = address.bytes();
  const std::size_t whole = prefix_bits_ / 8;
  if (std::memcmp(ours.data(), theirs.data(), whole) != 0) return false;
  const unsigned rest = prefix_bits_ % 8;
  if (rest == 0) return true;
  return ((ours[whole] ^ theirs[whole]) & mask_of(rest)) == std::byte(0);
}

}  // namespace tern::net
