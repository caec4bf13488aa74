#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// The character classes of the HTTP grammar, one bit each in one table of 256 bytes.

namespace tern::http {

enum CharClass : std::uint8_t {
  tchar = 1,          ///< RFC 9110 §5.6.2: characters of a token
  field_char = 2,     ///< RFC 9110 §5.5: field-vchar, SP and HTAB
  target_char = 4,    ///< visible ASCII without '#': see is_origin_form
  reg_name_char = 8,  ///< RFC 3986 §3.2.2: unreserved and sub-delims
  digit = 16,         ///< RFC 5234 DIGIT
  hex_digit = 32,     ///< RFC 5234 HEXDIG, in both cases
  alpha = 64,         ///< RFC 5234 ALPHA
};

namespace detail {

constexpr bool one_of(std::string_view set, char c) noexcept {
  return set.find(c) != std::string_view::npos;
}

constexpr std::array<std::uint8_t, 256> make_classes() noexcept {
  std::array<std::uint8_t, 256> table{};
  for (unsigned i = 0; i < table.size(); ++i) {
    const char c = static_cast<char>(i);
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool visible = i > 0x20 && i < 0x7F;
    unsigned classes = 0;
    if (is_digit || is_alpha || one_of("!#$%&'*+-.^_`|~", c)) classes |= tchar;
    if ((i >= 0x20 && i != 0x7F) || c == '\t') classes |= field_char;
    if (visible && c != '#') classes |= target_char;
    if (is_digit || is_alpha || one_of("-._~!$&'()*+,;=", c)) classes |= reg_name_char;
    if (is_digit) classes |= digit;
    if (is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) classes |= hex_digit;
    if (is_alpha) classes |= alpha;
    table[i] = static_cast<std::uint8_t>(classes);
  }
  return table;
}

inline constexpr std::array<std::uint8_t, 256> char_classes = make_classes();

}  // namespace detail

/// Whether `c` is in one of the classes (bits of CharClass).
constexpr bool is(char c, unsigned classes) noexcept {
  return (detail::char_classes[static_cast<unsigned char>(c)] & classes) != 0;
}

/// Whether all characters are in one of the classes; true for an empty text.
constexpr bool all(std::string_view text, unsigned classes) noexcept {
  for (const char c : text) {
    if (!is(c, classes)) return false;
  }
  return true;
}

/// ASCII only, whatever the locale.
constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
}

}  // namespace tern::http
