// Formats dates for the Date field. It does not use strftime, because the names that strftime
// writes depend on the locale.
#include "http/date.h"

#include <algorithm>
#include <cstring>

namespace tern::http {
namespace {

constexpr std::string_view week = "SunMonTueWedThuFriSat";
constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";

void put_name(char* to, std::string_view names, unsigned index) noexcept {
  std::memcpy(to, names.data() + 3 * std::size_t{index}, 3);
}

void put_number(char* to, unsigned number) noexcept {
  to[0] = static_cast<char>('0' + number / 10);
  to[1] = static_cast<char>('0' + number % 10);
}

}  // namespace

DateText format_date(std::chrono::sys_seconds at) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  const auto year = static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999));
  DateText text;
  std::memcpy(text.data(), "Sun, 06 Nov 1994 08:49:37 GMT", text.size());
  put_name(text.data(), week, std::chrono::weekday(day).c_encoding());
  put_number(text.data() + 5, static_cast<unsigned>(date.day()));
  put_name(text.data() + 8, months, static_cast<unsigned>(date.month()) - 1);
  put_number(text.data() + 12, year / 100);
  put_number(text.data() + 14, year % 100);
  put_number(text.data() + 17, static_cast<unsigned>(time.hours().count()));
  put_number(text.data() + 20, static_cast<unsigned>(time.minutes().count()));
  put_number(text.data() + 23, static_cast<unsigned>(time.seconds().count()));
  return text;
}

}  // namespace tern::http
