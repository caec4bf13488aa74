// Converts payloads to text and back. A peer chooses the bytes, so every byte that could control a
// terminal is escaped.
#include "text.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace command {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

void append_hex(std::string& to, std::uint8_t byte) {
  to += hex_digits[byte >> 4];
  to += hex_digits[byte & 15];
}

// -1 if it is no digit.
int hex_value(char c) {
  if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  const std::size_t at = hex_digits.find(c);
  return at == hex_digits.npos ? -1 : static_cast<int>(at);
}

void append_escaped(std::string& to, std::uint8_t byte) {
  switch (byte) {
    case '\n':
      to += "\\n";
      return;
    case '\r':
      to += "\\r";
      return;
    case '\t':
      to += "\\t";
      return;
    default:
      to += "\\x";
      append_hex(to, byte);
  }
}

// The length of the character of UTF-8 that begins with this byte; 0 if none does.
std::size_t length_of_character(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

bool is_whole_character(std::string_view text, std::size_t length) {
  if (length == 0 || length > text.size()) return false;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) return false;
  }
  return true;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const std::uint8_t first = byte_at(text, 0);
    const std::size_t length = length_of_character(first);
    const bool is_c1 = text.size() > 1 && first == 0xC2 && byte_at(text, 1) < 0xA0;
    if (first < 0x20 || first == 0x7F || is_c1 || !is_whole_character(text, length)) {
      append_escaped(shown, first);
      text.remove_prefix(1);
    } else {
      shown += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return shown;
}

std::string hex_dump(std::string_view bytes) {
  std::string lines;
  for (std::size_t start = 0; start < bytes.size(); start += 16) {
    const std::string_view row = bytes.substr(start, 16);
    for (int shift = 24; shift >= 0; shift -= 8) {
      append_hex(lines, static_cast<std::uint8_t>(start >> shift));
    }
    lines += "  ";
    for (std::size_t i = 0; i < 16; ++i) {
      if (i < row.size()) {
        append_hex(lines, byte_at(row, i));
        lines += i == 7 ? "  " : " ";
      } else {
        lines += i == 7 ? "    " : "   ";
      }
    }
    lines += " |";
    for (const char c : row) lines += c >= ' ' && c <= '~' ? c : '.';
    lines += "|\n";
  }
  return lines;
}

std::string to_hex(std::string_view bytes) {
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) append_hex(digits, byte_at(bytes, i));
  return digits;
}

std::optional<std::string> from_hex(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    if (text[0] == ' ' || text[0] == '\t' || text[0] == '\r') {
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 2) return {};
    const int high = hex_value(text[0]);
    const int low = hex_value(text[1]);
    if (high < 0 || low < 0) return {};
    bytes += static_cast<char>(high << 4 | low);
    text.remove_prefix(2);
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  std::string digits;
  digits.reserve((bytes.size() + 2) / 3 * 4);
  for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < 3 ? bytes.size() : 3)) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < bytes.size() ? byte_at(bytes, i) : 0u);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      digits += i <= bytes.size() ? base64_digits[group >> (18 - 6 * i) & 63] : '=';
    }
  }
  return digits;
}

std::optional<std::string> from_base64(std::string_view text) {
  while (text.ends_with('\r')) text.remove_suffix(1);
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  if (text.size() % 4 == 1) return {};
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = base64_digits.find(c);
    if (value == base64_digits.npos) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        decoded += static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
    }
    decoded += text[i];
  }
  return decoded;
}

}  // namespace command
