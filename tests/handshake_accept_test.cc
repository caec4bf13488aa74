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

TEST(HandshakeAccept, Rfc6455_4_2_2_KnownAnswers) {
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(accept("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST(HandshakeAccept, TakesNothingButKeys) {
  EXPECT_EQ(accept(""), "none");
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ="), "none");
  EXPECT_EQ(accept("dGhlIHNhbXBsZSBub25jZQ==="), "none");
}

TEST(HandshakeAccept, Rfc6455_4_2_1_Keys) {
  EXPECT_TRUE(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_TRUE(is_key("AAAAAAAAAAAAAAAAAAAAAA=="));
  EXPECT_TRUE(is_key("+/+/+/+/+/+/+/+/+/+/+w=="));
  for (const char* key :
       {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25jZQ=A", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ-==", "dGhlIHNhbXBsZSBub25jZ_==", "dGhlIHNhbXBsZSBub25j ZQ==",
        "dGhlIHNhbXBsZSBub2=jZQ==", "dGhlIHNhbXBsZSBub25jZQ= ", " dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZXM=", "dGhlIHNhbXBsZSBub25jZXMh", "dGhlIHNhbXBsZSBub25j\x80Q=="}) {
    const test::GuardPage page(key);
    EXPECT_FALSE(is_key(page.text())) << key;
  }
}

}  // namespace
}  // namespace tern::handshake
