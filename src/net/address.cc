// Converts addresses between text and the structures of the kernel. The text of an IPv6 address
// follows RFC 5952, which inet_ntop implements.
#include "net/address.h"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <net/if.h>

namespace tern::net {

namespace {

// Copies the text with a terminating zero, because inet_pton requires one and a view has none.
template <std::size_t N>
bool copy_text(std::string_view text, std::array<char, N>& into) noexcept {
  if (text.empty() || text.size() >= N || text.find('\0') != text.npos) return false;
  std::memcpy(into.data(), text.data(), text.size());
  into[text.size()] = '\0';
  return true;
}

// Returns the number of a zone, which is the name or the number of an interface (RFC 4007 §11.2).
// Returns 0 if there is no such zone.
std::uint32_t zone_index(std::string_view zone) noexcept {
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(zone.data(), zone.data() + zone.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == zone.data() + zone.size()) return number;
  std::array<char, IF_NAMESIZE> name;
  return copy_text(zone, name) ? ::if_nametoindex(name.data()) : 0;
}

}  // namespace

Address::Address() noexcept {
  std::memset(&storage_, 0, sizeof storage_);
  storage_.v4.sin_family = AF_INET;
}

std::optional<Address> Address::from(const sockaddr* address, socklen_t bytes) noexcept {
  Address result;
  if (bytes < sizeof(sa_family_t)) return std::nullopt;
  if (address->sa_family == AF_INET && bytes >= sizeof(sockaddr_in)) {
    std::memcpy(&result.storage_.v4, address, sizeof(sockaddr_in));
    return result;
  }
  if (address->sa_family != AF_INET6 || bytes < sizeof(sockaddr_in6)) return std::nullopt;
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    result.storage_.v4.sin_port = v6.sin6_port;
    std::memcpy(&result.storage_.v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
  } else {
    v6.sin6_flowinfo = 0;
    result.storage_.v6 = v6;
  }
  return result;
}

std::optional<Address> Address::parse(std::string_view host, std::uint16_t port) noexcept {
  std::array<char, INET6_ADDRSTRLEN> text;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (copy_text(host, text) && ::inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1) {
    return from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  if (const std::size_t percent = host.find('%'); percent != host.npos) {
    v6.sin6_scope_id = zone_index(host.substr(percent + 1));
    if (v6.sin6_scope_id == 0) return std::nullopt;
    host = host.substr(0, percent);
  }
  if (!copy_text(host, text) || ::inet_pton(AF_INET6, text.data(), &v6.sin6_addr) != 1) {
    return std::nullopt;
  }
  return from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

int Address::family() const noexcept { return storage_.any.sa_family; }

std::span<const std::byte> Address::bytes() const noexcept {
  if (family() == AF_INET) return std::as_bytes(std::span(&storage_.v4.sin_addr, 1));
  return std::as_bytes(std::span(&storage_.v6.sin6_addr, 1));
}

std::uint16_t Address::port() const noexcept {
  return ntohs(family() == AF_INET ? storage_.v4.sin_port : storage_.v6.sin6_port);
}

void Address::set_port(std::uint16_t port) noexcept {
  (family() == AF_INET ? storage_.v4.sin_port : storage_.v6.sin6_port) = htons(port);
}

socklen_t Address::size() const noexcept {
  return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string_view Address::format(std::span<char, max_text> buffer) const noexcept {
  char* to = buffer.data();
  char* const end = to + buffer.size();
  const auto append_number = [&](std::uint32_t number) { to = std::to_chars(to, end, number).ptr; };
  if (family() == AF_INET) {
    // inet_ntop uses printf, and would take a twelfth of the time of an upgrade.
    const std::uint32_t address = ntohl(storage_.v4.sin_addr.s_addr);
    for (const int shift : {24, 16, 8, 0}) {
      append_number(address >> shift & 0xFF);
      if (shift > 0) *to++ = '.';
    }
  } else {
    *to++ = '[';
    ::inet_ntop(AF_INET6, &storage_.v6.sin6_addr, to, INET6_ADDRSTRLEN);
    to += std::strlen(to);
    if (storage_.v6.sin6_scope_id != 0) {
      *to++ = '%';
      append_number(storage_.v6.sin6_scope_id);
    }
    *to++ = ']';
  }
  *to++ = ':';
  append_number(port());
  return {buffer.data(), static_cast<std::size_t>(to - buffer.data())};
}

std::string Address::to_string() const {
  std::array<char, max_text> buffer;
  return std::string(format(buffer));
}

std::string Address::host() const {
  std::string text = to_string();
  text.resize(text.rfind(':'));
  return text.front() == '[' ? text.substr(1, text.size() - 2) : text;
}

bool Address::operator==(const Address& other) const noexcept {
  if (family() != other.family() || port() != other.port()) return false;
  if (family() == AF_INET) {
    return storage_.v4.sin_addr.s_addr == other.storage_.v4.sin_addr.s_addr;
  }
  return storage_.v6.sin6_scope_id == other.storage_.v6.sin6_scope_id &&
         std::memcmp(&storage_.v6.sin6_addr, &other.storage_.v6.sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace tern::net
