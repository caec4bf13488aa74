#pragma once

#include <optional>
#include <string>
#include <string_view>

// Percent-encoding, RFC 3986 §2.1.

namespace tern::http {

/// Returns the byte that the first three characters stand for, as 'A' for "%41…". Returns nothing
/// if the text begins with anything else than '%' and two hexadecimal digits.
std::optional<char> percent_encoded_byte(std::string_view text) noexcept;

/// Decodes a text. Returns nothing if a '%' is not followed by two hexadecimal digits.
/// Throws std::bad_alloc.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace tern::http
