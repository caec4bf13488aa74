// UTF-8 in the simplest way, to compare the library with. It decodes characters and checks their
// values; the library checks bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tern::test {

/// The length of the sequence that starts with `lead`, by its bits alone; 0 if it is no lead.
inline std::size_t sequence_length(unsigned lead) {
  if (lead < 0x80) return 1;
  if (lead >> 5 == 0b110) return 2;
  if (lead >> 4 == 0b1110) return 3;
  if (lead >> 3 == 0b11110) return 4;
  return 0;
}

/// Whether `text` starts with one complete character; `length` is that of the sequence.
inline bool reference_character(std::string_view text, std::size_t& length) {
  if (text.empty()) return false;
  const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  length = sequence_length(byte_at(0));
  if (length == 0 || length > text.size()) return false;
  std::uint32_t value = length == 1 ? byte_at(0) : byte_at(0) & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (byte_at(i) >> 6 != 0b10) return false;
    value = value << 6 | (byte_at(i) & 0x3F);
  }
  constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return value >= smallest[length] && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
}

inline bool reference_valid(std::string_view text) {
  for (std::size_t length = 0; !text.empty(); text.remove_prefix(length))
    if (!reference_character(text, length)) return false;
  return true;
}

/// The index of the first byte after which no continuation makes the text valid; nothing if one
/// does. It tries all continuations: it is enough to append the smallest or the largest tails.
inline std::optional<std::size_t> first_impossible(std::string_view text) {
  std::size_t begin = 0;
  std::size_t length = 0;
  while (begin < text.size() && reference_character(text.substr(begin), length)) begin += length;
  for (std::size_t size = 1; begin + size <= text.size(); ++size) {
    bool possible = false;
    for (const char tail : {'\x80', '\xBF'}) {
      char sequence[4] = {tail, tail, tail, tail};
      const std::size_t all = sequence_length(static_cast<unsigned char>(text[begin]));
      if (size > all) break;
      text.substr(begin, size).copy(sequence, size);
      possible = possible || reference_character({sequence, all}, length);
    }
    if (!possible) return begin + size - 1;
  }
  return std::nullopt;
}

}  // namespace tern::test
