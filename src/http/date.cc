// Formats dates for the Date field, and parses those of a peer. It does not use strftime and
// strptime, because the names that they use depend on the locale.
#include "http/date.h"

#include "http/chars.h"

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

// Reads `text` by a pattern: each digit belongs to the number of its letter, "bbb" is the name of a
// month, any other character stands for itself. A blank may stand for the first digit of a day.
struct DateReader {
  int year = 0;
  unsigned month = 0;  // 1 to 12 once read
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;

  bool read(std::string_view text, std::string_view pattern) noexcept {
    *this = {};
    if (text.size() != pattern.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (pattern[i] == 'b') {
        if (i == 0 || pattern[i - 1] != 'b') month = month_of(text.substr(i, 3));
      } else if (int* number = number_of(pattern[i])) {
        const bool padded = pattern[i] == 'D' && text[i] == ' ' && *number == 0;
        if (!is(text[i], digit) && !padded) return false;
        *number = *number * 10 + (padded ? 0 : text[i] - '0');
      } else if (text[i] != pattern[i]) {
        return false;
      }
    }
    return month != 0;
  }

  std::optional<std::chrono::sys_seconds> value() const noexcept {
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                           std::chrono::day(static_cast<unsigned>(day))};
    constexpr int leap_second = 60;
    if (!date.ok() || hour > 23 || minute > 59 || second > leap_second) return {};
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second);
  }

 private:
  static unsigned month_of(std::string_view name) noexcept {
    const std::size_t place = months.find(name);
    return place % 3 == 0 ? static_cast<unsigned>(place / 3 + 1) : 0;
  }
  int* number_of(char letter) noexcept {
    switch (letter) {
      case 'Y':
        return &year;
      case 'D':
        return &day;
      case 'h':
        return &hour;
      case 'm':
        return &minute;
      case 's':
        return &second;
      default:
        return nullptr;
    }
  }
};

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

std::optional<std::chrono::sys_seconds> parse_date(std::string_view text) noexcept {
  const std::size_t blank = text.find(' ');  // behind the name of the day
  if (blank == text.npos) return {};
  const std::string_view rest = text.substr(blank + 1);
  DateReader date;
  if (date.read(rest, "DD bbb YYYY hh:mm:ss GMT")) return date.value();  // IMF-fixdate
  if (date.read(rest, "bbb DD hh:mm:ss YYYY")) return date.value();      // asctime
  if (!date.read(rest, "DD-bbb-YY hh:mm:ss GMT")) return {};             // RFC 850
  date.year += date.year < 70 ? 2000 : 1900;
  return date.value();
}

}  // namespace tern::http
