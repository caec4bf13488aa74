// Base64 through libcrypto, with what it leaves open closed.
//
// EVP_EncodeBlock adds a NUL behind its output; encoding goes through a small buffer of our own, so
// that callers need not have room for it. EVP_DecodeBlock skips white space in front, drops it (and
// line ends, and '-') behind, and counts padding as zero octets; so what it is given is checked
// first, character by character, and only the part that is not padding is taken from its answer.

#include "crypto/base64.h"

#include "base/assert.h"

#include <algorithm>
#include <cstring>
#include <openssl/evp.h>

namespace tern::crypto {

namespace {

constexpr bool in_alphabet(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

}  // namespace

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

std::optional<std::array<std::byte, 16>> base64_decode_16(std::string_view text) noexcept {
  constexpr std::size_t octets = 16;
  constexpr std::size_t padding = 2;
  if (text.size() != base64_size(octets) || !text.ends_with("==") ||
      !std::all_of(text.begin(), text.end() - padding, in_alphabet))
    return std::nullopt;
  std::array<unsigned char, octets + padding> decoded;
  if (EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size())) != static_cast<int>(decoded.size()))
    return std::nullopt;
  std::array<std::byte, octets> result;
  std::memcpy(result.data(), decoded.data(), octets);
  return result;
}

}  // namespace tern::crypto
