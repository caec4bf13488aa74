#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace tern::net {

/// An IPv4 or IPv6 address and a port. An IPv4 address that is mapped into IPv6 becomes an IPv4
/// address, so that a peer of a dual-stack listener has only one name. RFC 4291 §2.5.5.2.
class Address {
 public:
  /// The room for any text: "[", 39 characters of address, "%", a zone of 10 digits, "]:65535".
  static constexpr std::size_t max_text = 64;

  /// 0.0.0.0:0.
  Address() noexcept;
  /// Converts an address from the kernel. Returns nothing if it is neither IPv4 nor IPv6, or too
  /// short.
  static std::optional<Address> from(const sockaddr* address, socklen_t bytes) noexcept;
  /// Parses a numeric host: "192.0.2.7", "2001:db8::7", "[2001:db8::7]", "fe80::1%eth0". Returns
  /// nothing if the host is not numeric.
  static std::optional<Address> parse(std::string_view host, std::uint16_t port) noexcept;

  int family() const noexcept;  ///< AF_INET or AF_INET6
  /// The 4 or 16 bytes of the address, in the order of the network. Lifetime of the view: this.
  std::span<const std::byte> bytes() const noexcept;
  std::uint16_t port() const noexcept;
  void set_port(std::uint16_t port) noexcept;
  const sockaddr* data() const noexcept { return &storage_.any; }
  socklen_t size() const noexcept;

  /// Writes "192.0.2.7:51234" or "[2001:db8::7]:51234" into `buffer` and returns a view of it.
  /// Lifetime of the view: that of the buffer.
  std::string_view format(std::span<char, max_text> buffer) const noexcept;
  std::string to_string() const;
  /// Returns the address without the port and without brackets. Throws std::bad_alloc.
  std::string host() const;

  bool operator==(const Address& other) const noexcept;

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  Storage storage_;
};

using Addresses = std::vector<Address>;

}  // namespace tern::net
