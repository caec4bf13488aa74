#include "http/chars.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::http {
namespace {

// What a rule says of an octet, alone and as one of a vector in any place, where all others are
// 'v', which ends nothing.
template <typename Rule>
bool holds(Rule rule, int octet) {
  const auto alone = static_cast<bool>(rule(static_cast<simd::Octet>(octet)));
  for (std::size_t place = 0; place < 40; ++place) {
    std::string text(40, 'v');
    text[place] = static_cast<char>(octet);
    EXPECT_EQ(none_of(text, rule), !alone) << octet << " at " << place;
  }
  return alone;
}

TEST(HttpChars, Rfc9110_5_5_WhatEndsAValue) {
  for (int c = 0; c < 256; ++c) {
    EXPECT_EQ(holds(ends_value, c), (c < 0x20 && c != '\t') || c == 0x7F) << c;
  }
}

TEST(HttpChars, Rfc9112_3_2_1_WhatEndsATarget) {
  for (int c = 0; c < 256; ++c) {
    EXPECT_EQ(holds(ends_target, c), c <= 0x20 || c >= 0x7F || c == '#') << c;
  }
}

// Names go by this rule without the table's being asked: what it lets pass must be tchar.
TEST(HttpChars, WhatIsUsualInNames) {
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    EXPECT_EQ(holds(is_rare_in_names, c), !letter && c != '-') << c;
    EXPECT_TRUE(holds(is_rare_in_names, c) || is(static_cast<char>(c), tchar)) << c;
  }
}

TEST(HttpChars, NoneOfAnEmptyText) { EXPECT_TRUE(none_of("", ends_value)); }

}  // namespace
}  // namespace tern::http
