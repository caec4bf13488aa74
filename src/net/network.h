#pragma once

#include "net/address.h"

#include <optional>
#include <string>
#include <string_view>

namespace tern::net {

/// A block of addresses, or one address. RFC 4632 §3.1, RFC 4291 §2.3.
class Network {
 public:
  /// Parses "10.0.0.0/8", "fd00::/8", "192.0.2.7" or "[2001:db8::7]". Bits behind the prefix are
  /// ignored. A block of mapped IPv4 addresses becomes a block of IPv4 addresses:
  /// "::ffff:10.0.0.0/104" is 10.0.0.0/8.
  /// Returns nothing if the address is not numeric or the prefix is longer than the address.
  static std::optional<Network> parse(std::string_view text) noexcept;

  /// Returns whether no bit behind the prefix is set in the address that was parsed.
  bool is_exact() const noexcept;
  /// Returns the block without these bits: "10.0.0.0/8". Throws std::bad_alloc.
  std::string to_string() const;
  /// Returns whether the address is in the block. Ports and zones do not count.
  bool contains(const Address& address) const noexcept;

 private:
  Network(const Address& base, unsigned prefix_bits) noexcept
      : base_(base), prefix_bits_(prefix_bits) {}

  Address first() const noexcept;

  Address base_;
  unsigned prefix_bits_;
};

}  // namespace tern::net
