// Encodes base64. Every room may need it, TLS as well as the handshake, so it does not use
// libcrypto, which only the room crypto may include.
#include "base/base64.h"

#include "base/assert.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace tern::base {

std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t size = base64_size(data.size());
  TERN_ASSERT(to.size() >= size);
  char* out = to.data();
  while (!data.empty()) {
    const auto bytes = data.first(std::min<std::size_t>(data.size(), 3));
    std::uint32_t bits = 0;  // 24 of them; a missing byte counts as zero
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      *out++ = i <= bytes.size() ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
    }
    data = data.subspan(bytes.size());
  }
  return size;
}

std::string base64_encode(std::span<const std::byte> data) {
  std::string text(base64_size(data.size()), '\0');
  base64_encode(data, text);
  return text;
}

}  // namespace tern::base
