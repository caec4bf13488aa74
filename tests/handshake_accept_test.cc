// accept_for and is_key, RFC 6455 §4.2: each key stands against a guard page.
#include "handshake/accept.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::handshake {
namespace {

std::string accept(std::string_view key) {
  const test::GuardPage page(key);
  const auto value = accept_for(page.text());
  return value ? std::string(value->begin(), value->end()) : "none";
}

TEST(HandshakeAccept, Rfc6455_4_2_2_ComputesKnownValues) {
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(accept("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST(HandshakeAccept, RefusesAKeyOfAnotherSize) {
  EXPECT_EQ(accept(""), "none");
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ="), "none");
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ==="), "none");
}

TEST(HandshakeAccept, Rfc6455_4_2_1_AKeyIsBase64Of16Bytes) {
  EXPECT_TRUE(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_TRUE(is_key("AAAAAAAAAAAAAAAAAAAAAA=="));
  EXPECT_TRUE(is_key("+/+/+/+/+/+/+/+/+/+/+w=="));
  for (const char* key :
       {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25jZQ=A", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ-==", "dGhlIHNhbXBsZSBub25jZ_==", "dGhlIHNhbXBsZSBub25j ZQ==",
        "dGhlIHNhbXBsZSBub2=jZQ==", "dGhlIHNhbXBsZSBub25jZQ= ", " dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZXM=", "dGhlIHNhbXBsZSBub25jZXMh", "dGhlIHNhbXBsZSBub25j\x80Q==",
        // White space, which decoders remove.
        "    dGhlIHNhbXBsZSBub2==", "\t\n\r dGhlIHNhbXBsZSBub2==", "dGhlIHNhbXBsZSBub2==    ",
        " dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==\n",
        // 15 and 17 bytes.
        "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWU="}) {
    const test::GuardPage page(key);
    EXPECT_FALSE(is_key(page.text())) << key;
  }
}

TEST(HandshakeAccept, Rfc4648_3_5_UnusedBitsMayHaveAnyValue) {
  for (const std::string last : {"A", "B", "P"}) {
    EXPECT_TRUE(is_key("AAAAAAAAAAAAAAAAAAAAA" + last + "==")) << last;
  }
}

// Each byte at each place of a key against a guard page. It passes if the alphabet has it or, at
// the end, if it is the padding.
TEST(HandshakeAccept, Rfc4648_4_AKeyHasOnlyTheAlphabetAtAnyPlace) {
  constexpr std::string_view key = "x3JJHMbDL1EzLkh9GBhXDw==";
  const test::GuardPage page(64);
  for (std::size_t place = 0; place < key.size(); ++place) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::string text(key);
      text[place] = static_cast<char>(byte);
      const char c = text[place];
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '+' || c == '/';
      const auto span = page.copy_at_end(text);
      const std::string_view guarded(reinterpret_cast<const char*>(span.data()), span.size());
      ASSERT_EQ(is_key(guarded), place < 22 ? letter : c == '=') << place << ' ' << byte;
    }
  }
}

}  // namespace
}  // namespace tern::handshake
