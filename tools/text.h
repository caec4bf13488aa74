// Payloads as text: what a terminal may show, hexadecimal digits, base64.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace command {

/// Escapes control characters, DEL and C1 as "\n", "\t" or "\x1b", so that a peer cannot control
/// the terminal. `text` is UTF-8; bytes that are not are escaped too.
std::string escape(std::string_view text);
/// Lines of 16 bytes with their offset and their characters; the last line ends with '\n', too.
std::string hex_dump(std::string_view bytes);

std::string to_hex(std::string_view bytes);
/// Reads digits in pairs, with blanks between pairs; nothing if it is something else.
std::optional<std::string> from_hex(std::string_view text);
/// RFC 4648 §4, with padding.
std::string to_base64(std::string_view bytes);
/// The padding may lack; nothing if it is something else.
std::optional<std::string> from_base64(std::string_view text);
/// RFC 3986 §2.1; a '%' without two digits stays.
std::string percent_decode(std::string_view text);

}  // namespace command
