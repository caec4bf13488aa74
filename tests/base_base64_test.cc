// Base64 (RFC 4648), compared with an encoder that follows the definition bit by bit.
#include "base/base64.h"
#include "support/guard_page.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::base {
namespace {

std::string encoded(std::string_view text) { return base64_encode(std::as_bytes(std::span(text))); }

TEST(Base64, Rfc4648_10_TestVectors) {
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foob"), "Zm9vYg==");
  EXPECT_EQ(encoded("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encoded("\xFB\xFF\xBE"), "+/++");
}

// The expected text follows the definition, bit by bit. Guard pages surround input and output.
TEST(Base64, Rfc4648_4_EncodesEveryLengthByTheDefinition) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const test::GuardPage from(512);
  const test::GuardPage to(512);
  for (std::size_t size = 0; size <= 200; ++size) {
    std::vector<std::byte> data(size);
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(i * 151 + size);
    std::string expected;
    for (std::size_t bit = 0; bit < 8 * size; bit += 6) {
      unsigned value = 0;
      for (std::size_t k = bit; k < bit + 6; ++k)
        value = value << 1 |
                (k < 8 * size ? std::to_integer<unsigned>(data[k / 8]) >> (7 - k % 8) & 1 : 0);
      expected += alphabet[value];
    }
    expected.resize((expected.size() + 3) / 4 * 4, '=');
    ASSERT_EQ(expected.size(), base64_size(size));
    const auto out = to.at_end(expected.size());
    const std::span<char> chars(reinterpret_cast<char*>(out.data()), out.size());
    ASSERT_EQ(base64_encode(from.copy_at_end(data), chars), expected.size());
    ASSERT_EQ(std::string_view(chars.data(), chars.size()), expected);
    ASSERT_EQ(base64_encode(from.copy_at_begin(data)), expected);
  }
}

TEST(Base64, Rfc4648_4_WritesNothingBehindItsOutput) {
  std::array<char, 6> room;
  room.fill('!');
  EXPECT_EQ(base64_encode(std::as_bytes(std::span("foo", 3)), room), 4U);
  EXPECT_EQ(std::string_view(room.data(), room.size()), "Zm9v!!");
}

}  // namespace
}  // namespace tern::base
