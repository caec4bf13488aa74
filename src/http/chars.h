// The character classes of the HTTP grammar, one bit each in a table of 256 bytes. For scans of
// many bytes there are also rules for simd::find_if.
#pragma once

#include "simd/find.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace tern::http {

enum CharClass : std::uint8_t {
  tchar = 1,          ///< RFC 9110 §5.6.2: characters of a token
  reg_name_char = 2,  ///< RFC 3986 §3.2.2: unreserved and sub-delims
  digit = 4,          ///< RFC 5234 DIGIT
  hex_digit = 8,      ///< RFC 5234 HEXDIG, upper and lower case
  alpha = 16,         ///< RFC 5234 ALPHA
  base64_char = 32,   ///< RFC 4648 §4: the alphabet, without the padding
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
    unsigned classes = 0;
    if (is_digit || is_alpha || one_of("!#$%&'*+-.^_`|~", c)) classes |= tchar;
    if (is_digit || is_alpha || one_of("-._~!$&'()*+,;=", c)) classes |= reg_name_char;
    if (is_digit) classes |= digit;
    if (is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) classes |= hex_digit;
    if (is_alpha) classes |= alpha;
    if (is_digit || is_alpha || one_of("+/", c)) classes |= base64_char;
    table[i] = static_cast<std::uint8_t>(classes);
  }
  return table;
}

inline constexpr std::array<std::uint8_t, 256> char_classes = make_classes();

// Whether low <= c <= high, by one comparison: a value below `low` wraps around.
template <simd::Byte low, simd::Byte high, typename T>
constexpr auto within(T c) noexcept {
  constexpr simd::Byte width = high - low;
  return static_cast<T>(c - low) <= width;
}

}  // namespace detail

/// Whether `c` is in at least one of the classes (bits of CharClass).
constexpr bool is(char c, unsigned classes) noexcept {
  return (detail::char_classes[static_cast<unsigned char>(c)] & classes) != 0;
}

/// Whether each character is in at least one of the classes; true for an empty text.
constexpr bool all(std::string_view text, unsigned classes) noexcept {
  for (const char c : text) {
    if (!is(c, classes)) return false;
  }
  return true;
}

// Rules for simd::find_if.

/// True for a byte that ends a field value, RFC 9110 §5.5: a control other than HTAB.
inline constexpr auto ends_value = [](auto c) { return ((c < 0x20) ^ (c == '\t')) | (c == 0x7F); };

/// True for a byte that ends a target: '#' and each byte that is not visible ASCII. See
/// is_origin_form.
inline constexpr auto ends_target = [](auto c) {
  return (detail::within<0x21, 0x7E>(c) == 0) | (c == '#');
};

/// True for a byte that is not visible ASCII.
inline constexpr auto is_invisible = [](auto c) { return detail::within<0x21, 0x7E>(c) == 0; };

/// False for letters and '-'. These are tchar, and nearly all names of fields consist of them.
inline constexpr auto is_rare_in_names = [](auto c) {
  return (detail::within<'a', 'z'>(static_cast<decltype(c)>(c | 0x20)) | (c == '-')) == 0;
};

/// Whether the rule is false for each character; true for an empty text.
template <typename Rule>
bool none_of(std::string_view text, Rule rule) noexcept {
  const char* const end = text.data() + text.size();
  return simd::find_if(text.data(), end, rule) == end;
}

/// Converts an ASCII letter to lower case; the locale has no effect.
constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
}

}  // namespace tern::http
