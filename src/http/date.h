#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string_view>

namespace tern::http {

/// The text of a date, e.g. "Sun, 06 Nov 1994 08:49:37 GMT".
using DateText = std::array<char, 29>;

/// Formats a time as IMF-fixdate. A year below 0 becomes 0 and a year above 9999 becomes 9999,
/// because the form has four digits. RFC 9110 §5.6.7.
DateText format_date(std::chrono::sys_seconds at) noexcept;

/// Parses a date in one of the three forms of RFC 9110 §5.6.7. The name of the day is not checked.
/// A year of two digits is one of 1970 to 2069. Returns nothing if the text is no date.
std::optional<std::chrono::sys_seconds> parse_date(std::string_view text) noexcept;

}  // namespace tern::http
