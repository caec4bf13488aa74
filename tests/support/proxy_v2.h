// Writes PROXY headers of version 2, also invalid ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::test {

struct ProxyV2 {
  unsigned char command = 0x21;  // version 2, PROXY; 0x20: LOCAL
  unsigned char family = 0x11;   // TCP over IPv4
  std::string addresses{};       // and TLVs

  std::string bytes() const {
    const std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
    return std::string(signature) + static_cast<char>(command) + static_cast<char>(family) +
           number(addresses.size()) + addresses;
  }

  /// The block of a family, from this source to a fixed destination. An address is in the order of
  /// the network.
  static std::string ipv4(const std::string& source, std::uint16_t port) {
    return source + std::string("\x7F\x00\x00\x01", 4) + number(port) + number(443);
  }
  static std::string ipv6(const std::string& source, std::uint16_t port) {
    return source + std::string(15, '\0') + '\x01' + number(port) + number(443);
  }
  static std::string unix_path(const std::string& source) {
    return source + std::string(216 - source.size(), '\0');
  }
  static std::string tlv(int type, const std::string& value) {
    return static_cast<char>(type) + number(value.size()) + value;
  }

 private:
  static std::string number(std::size_t value) {
    return {static_cast<char>(value >> 8 & 0xFF), static_cast<char>(value & 0xFF)};
  }
};

}  // namespace tern::test
