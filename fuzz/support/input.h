// The input of a fuzzer as a script. Bytes are taken from its front. After its end, take() returns
// zeros.
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
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  /// Takes a length in one byte, then that many bytes.
  std::string take_bytes() {
    const std::size_t size = std::min<std::size_t>(take(), rest_.size());
    std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return bytes;
  }

 private:
  std::string_view rest_;
};

}  // namespace tern::fuzz
