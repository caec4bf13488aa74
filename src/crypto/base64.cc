// Base64 through libcrypto.
//
// EVP_EncodeBlock adds a NUL behind its output; encoding goes through a small buffer of our own, so
// that callers need not have room for it.

#include "crypto/base64.h"

#include "base/assert.h"

#include <algorithm>
#include <cstring>
#include <openssl/evp.h>

namespace tern::crypto {

std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept {
  constexpr std::size_t piece_octets = 48;  // a multiple of three: padding comes only at the end
  const std::size_t size = base64_size(data.size());
  TERN_ASSERT(to.size() >= size);
  unsigned char encoded[base64_size(piece_octets) + 1];
  for (char* out = to.data(); !data.empty();) {
    const auto piece = data.first(std::min(piece_octets, data.size()));
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
