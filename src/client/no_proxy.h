#pragma once

#include "net/address.h"
#include "net/network.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::client {

/// The hosts that are reached without a proxy, as the environment variable no_proxy lists them:
///
///     list  = entry *( ( "," / blank ) entry )
///     entry = "*" / ( name / "." name / "*." name / address / block ) [ ":" port ]
///
/// `name` and `.name` match the name and its subdomains, `*.name` only the subdomains. Case and a
/// dot at the end of a name do not count (RFC 4343). An address or a block (`10.0.0.0/8`) matches
/// only a host that is an address itself: no name is resolved. An IPv6 address with a port stands
/// in brackets. An entry that is none of these matches nothing.
class NoProxy {
 public:
  /// Matches no host.
  NoProxy() noexcept = default;
  /// Parses the list. Throws std::bad_alloc.
  explicit NoProxy(std::string_view list);

  /// Returns whether the host of a URL (an IPv6 address without brackets) is reached straight.
  bool matches(std::string_view host, std::uint16_t port) const noexcept;

 private:
  enum class Names : std::uint8_t { none, all, domain, subdomains };
  struct Entry {
    std::optional<net::Network> network{};
    Names names = Names::none;
    std::string name{};                   // without dots at its ends
    std::optional<std::uint16_t> port{};  // absent: every port
  };

  void add(std::string_view entry);

  std::vector<Entry> entries_{};
};

}  // namespace tern::client
