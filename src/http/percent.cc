// Percent-encoding, RFC 3986 §2.1. There is no lenient form here: a caller that accepts a '%' that
// stands for itself says so in its own code.

#include "http/percent.h"

#include "http/chars.h"

namespace tern::http {
namespace {

int hex_value(char c) noexcept { return is(c, digit) ? c - '0' : (c | 0x20) - 'a' + 10; }

}  // namespace

std::optional<char> percent_encoded_byte(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '%' || !all(text.substr(1, 2), hex_digit)) return {};
  return static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2]));
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  while (!text.empty()) {
    const bool encoded = text.front() == '%';
    const auto byte = encoded ? percent_encoded_byte(text) : text.front();
    if (!byte) return {};
    decoded += *byte;
    text.remove_prefix(encoded ? 3 : 1);
  }
  return decoded;
}

}  // namespace tern::http
