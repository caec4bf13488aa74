#pragma once

#include <array>
#include <chrono>
#include <string_view>

namespace tern::http {

/// The text of a date, e.g. "Sun, 06 Nov 1994 08:49:37 GMT".
using DateText = std::array<char, 29>;

/// Formats a time as IMF-fixdate. A year below 0 becomes 0 and a year above 9999 becomes 9999,
/// because the form has four digits. RFC 9110 §5.6.7.
DateText format_date(std::chrono::sys_seconds at) noexcept;

}  // namespace tern::http
