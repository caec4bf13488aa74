#pragma once

#include <array>
#include <chrono>
#include <string_view>

namespace tern::http {

/// The text of a date, as "Sun, 06 Nov 1994 08:49:37 GMT".
using DateText = std::array<char, 29>;

/// IMF-fixdate, RFC 9110 §5.6.7. Years outside of 0-9999 have no such form and become 0 or 9999.
DateText format_date(std::chrono::sys_seconds at) noexcept;

}  // namespace tern::http
