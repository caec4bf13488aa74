// The rules of http/chars.h for all 256 bytes, alone and at each place of a vector.
#include "http/chars.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::http {
namespace {

// Whether the rule is true for this byte, alone and at each place of a vector. The other bytes are
// 'v', for which each rule is false.
template <typename Rule>
bool holds(Rule rule, int byte) {
  const auto alone = static_cast<bool>(rule(static_cast<simd::Byte>(byte)));
  for (std::size_t place = 0; place < 40; ++place) {
    std::string text(40, 'v');
    text[place] = static_cast<char>(byte);
    EXPECT_EQ(none_of(text, rule), !alone) << byte << " at " << place;
  }
  return alone;
}

TEST(HttpChars, Rfc9110_5_5_ControlsButTabEndAValue) {
  for (int c = 0; c < 256; ++c) {
    EXPECT_EQ(holds(ends_value, c), (c < 0x20 && c != '\t') || c == 0x7F) << c;
  }
}

TEST(HttpChars, Rfc9112_3_2_1_HashAndInvisibleBytesEndATarget) {
  for (int c = 0; c < 256; ++c) {
    EXPECT_EQ(holds(ends_target, c), c <= 0x20 || c >= 0x7F || c == '#') << c;
  }
}

// The parser accepts bytes of a name by this rule alone. So the rule may be false only for tchar.
TEST(HttpChars, LettersAndDashAreUsualInNames) {
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    EXPECT_EQ(holds(is_rare_in_names, c), !letter && c != '-') << c;
    EXPECT_TRUE(holds(is_rare_in_names, c) || is(static_cast<char>(c), tchar)) << c;
  }
}

TEST(HttpChars, NoneOfIsTrueForAnEmptyText) { EXPECT_TRUE(none_of("", ends_value)); }

}  // namespace
}  // namespace tern::http
