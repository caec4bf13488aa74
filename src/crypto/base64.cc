// Encodes base64 with libcrypto. EVP_EncodeBlock writes a NUL behind its output, so each piece goes
// through a small buffer: the caller's buffer needs no room for the NUL.

#include "crypto/base64.h"

#include "base/assert.h"

#include <algorithm>
#include <cstring>
#include <openssl/evp.h>

namespace tern::crypto {

std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept {
  constexpr std::size_t piece_bytes =
      48;  // a multiple of three, so that only the last piece has padding
  const std::size_t size = base64_size(data.size());
  TERN_ASSERT(to.size() >= size);
  unsigned char encoded[base64_size(piece_bytes) + 1];
  for (char* out = to.data(); !data.empty();) {
    const auto piece = data.first(std::min(piece_bytes, data.size()));
    const int made = EVP_EncodeBlock(encoded, reinterpret_cast<const unsigned char*>(piece.data()),
                                     static_cast<int>(piece.size()));
    std::memcpy(out, encoded, static_cast<std::size_t>(made));
    out += made;
    data = data.subspan(piece.size());
  }
  return size;
}

std::string base64_encode(std::span<const std::byte> data) {
  std::string text(base64_size(data.size()), '\0');
  base64_encode(data, text);
  return text;
}

}  // namespace tern::crypto
