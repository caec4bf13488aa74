#include "crypto/base64.h"
#include "support/guard_page.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::crypto {
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

// By the definition, bit for bit; against guards on both sides of input and output.
TEST(Base64, Rfc4648_4_EveryLengthAgainstGuardPages) {
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

TEST(Base64, Rfc4648_4_LeavesRoomBehindItsOutputAlone) {
  std::array<char, 6> room;
  room.fill('!');
  EXPECT_EQ(base64_encode(std::as_bytes(std::span("foo", 3)), room), 4U);
  EXPECT_EQ(std::string_view(room.data(), room.size()), "Zm9v!!");
}

TEST(Base64, Rfc6455_4_2_1_DecodesKeys) {
  const auto nonce = base64_decode_16("dGhlIHNhbXBsZSBub25jZQ==");
  ASSERT_TRUE(nonce);
  EXPECT_TRUE(std::ranges::equal(*nonce, std::as_bytes(std::span("the sample nonce", 16))));
  EXPECT_TRUE(base64_decode_16("x3JJHMbDL1EzLkh9GBhXDw=="));
  const auto zeros = base64_decode_16("AAAAAAAAAAAAAAAAAAAAAA==");
  ASSERT_TRUE(zeros);
  EXPECT_EQ(*zeros, (std::array<std::byte, 16>{}));
}

TEST(Base64, Rfc6455_4_2_1_DecodeUndoesEncode) {
  for (unsigned seed = 0; seed < 256; ++seed) {
    std::array<std::byte, 16> data;
    for (std::size_t i = 0; i < data.size(); ++i)
      data[i] = static_cast<std::byte>(seed * 31 + i * i * 17);
    const auto decoded = base64_decode_16(base64_encode(data));
    ASSERT_TRUE(decoded);
    ASSERT_EQ(*decoded, data);
  }
}

TEST(Base64, Rfc4648_3_5_UnusedBitsMayHaveAnyValue) {
  for (const std::string_view last : {"A", "B", "P"}) {
    const std::string text = "AAAAAAAAAAAAAAAAAAAAA" + std::string(last) + "==";
    const auto decoded = base64_decode_16(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(*decoded, (std::array<std::byte, 16>{})) << text;
  }
}

TEST(Base64, Rfc6455_4_2_1_RefusesWhatIsNoKey) {
  for (const std::string_view text :
       {"", "==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25jZQA=", "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQ= ", " dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==\n",
        // 24 characters with what EVP_DecodeBlock trims.
        "    dGhlIHNhbXBsZSBub2==", "\t\n\r dGhlIHNhbXBsZSBub2==", "dGhlIHNhbXBsZSBub2==    ",
        // One octet fewer and one more than 16.
        "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWU="})
    EXPECT_FALSE(base64_decode_16(text)) << text;
}

// Each octet value at each place: good exactly if the alphabet has it (or, at the end, if it is the
// padding).
TEST(Base64, Rfc4648_4_EveryOctetAtEveryPlaceAgainstAGuardPage) {
  constexpr std::string_view key = "x3JJHMbDL1EzLkh9GBhXDw==";
  const test::GuardPage page(64);
  for (std::size_t place = 0; place < key.size(); ++place) {
    for (unsigned octet = 0; octet < 256; ++octet) {
      std::string text(key);
      text[place] = static_cast<char>(octet);
      const char c = text[place];
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '+' || c == '/';
      const auto span = page.copy_at_end(text);
      const std::string_view guarded(reinterpret_cast<const char*>(span.data()), span.size());
      ASSERT_EQ(base64_decode_16(guarded).has_value(), place < 22 ? letter : c == '=')
          << place << ' ' << octet;
    }
  }
}

}  // namespace
}  // namespace tern::crypto
