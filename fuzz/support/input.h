// The input of a fuzzer as a script: octets are taken from its front; behind its end come zeros.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  unsigned take() {
    if (rest_.empty()) return 0;
    const auto octet = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return octet;
  }
  /// A length in one octet, then so many.
  std::string take_octets() {
    const std::size_t size = std::min<std::size_t>(take(), rest_.size());
    std::string octets(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return octets;
  }

 private:
  std::string_view rest_;
};

}  // namespace tern::fuzz
