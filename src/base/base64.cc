// Encodes base64. Every room may need it, TLS as well as the handshake, so it does not use
// libcrypto, which only the room crypto may include.
#include "base/base64.h"

#include "base/assert.h"

#include <cstdint>

namespace tern::base {
namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Writes the four characters of 24 bits.
char* write_group(char* out, std::uint32_t bits) noexcept {
  *out++ = alphabet[bits >> 18];
  *out++ = alphabet[bits >> 12 & 63];
  *out++ = alphabet[bits >> 6 & 63];
  *out++ = alphabet[bits & 63];
  return out;
}

}  // namespace

std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept {
  const std::size_t size = base64_size(data.size());
  TERN_ASSERT(to.size() >= size);
  const auto at = [data](std::size_t i) { return std::to_integer<std::uint32_t>(data[i]); };
  char* out = to.data();
  std::size_t next = 0;
  for (; data.size() - next >= 3; next += 3) {
    out = write_group(out, at(next) << 16 | at(next + 1) << 8 | at(next + 2));
  }
  if (const std::size_t left = data.size() - next; left > 0) {
    // A missing byte counts as zero. A character without any bit of the data becomes padding.
    out = write_group(out, at(next) << 16 | (left == 2 ? at(next + 1) << 8 : 0));
    out[-1] = '=';
    if (left == 1) out[-2] = '=';
  }
  return size;
}

std::string base64_encode(std::span<const std::byte> data) {
  std::string text(base64_size(data.size()), '\0');
  base64_encode(data, text);
  return text;
}

}  // namespace tern::base
