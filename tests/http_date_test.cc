// format_date, RFC 9110 §5.6.7, compared with strftime; and parse_date.
#include "http/date.h"

#include <ctime>
#include <gtest/gtest.h>
#include <locale>
#include <string>

namespace tern::http {
namespace {

std::string date(std::int64_t seconds) {
  const DateText text = format_date(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
  return {text.data(), text.size()};
}

TEST(HttpDate, Rfc9110_5_6_7_FormatsImfFixdate) {
  EXPECT_EQ(date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");  // the example of the RFC
  EXPECT_EQ(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(date(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(date(253'402'300'799), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(date(253'402'300'800).size(), 29u) << "the year 10000 has no form and must not crash";
}

TEST(HttpDate, Rfc9110_5_6_7_AgreesWithStrftime) {
  std::uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto seconds = static_cast<std::time_t>(state >> 31);  // up to the year 2242
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> expected{};
    std::strftime(expected.data(), expected.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    ASSERT_EQ(date(seconds), expected.data());
  }
}

TEST(HttpDate, Rfc9110_5_6_7_ParsesTheThreeForms) {
  const std::chrono::sys_seconds expected(std::chrono::seconds(784'111'777));
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT"), expected);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994"), expected);
}

TEST(HttpDate, ParsesWhatItFormats) {
  std::uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::chrono::sys_seconds at(std::chrono::seconds(state >> 27));  // up to the year 6325
    const DateText text = format_date(at);
    ASSERT_EQ(parse_date(std::string_view(text.data(), text.size())), at);
  }
}

TEST(HttpDate, RefusesWhatIsNoDate) {
  for (const std::string_view text :
       {"", " ", "120", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 anF 1994 08:49:37 GMT", "Sun, 06 Nov 19x4 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT "}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

}  // namespace
}  // namespace tern::http
