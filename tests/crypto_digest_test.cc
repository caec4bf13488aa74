// SHA-1: the answers of RFC 3174, and the accept value of RFC 6455.
#include "base/base64.h"
#include "crypto/digest.h"

#include <cstddef>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>

namespace tern::crypto {
namespace {

std::string hex_sha1(std::string_view text) {
  const auto digest = sha1(std::as_bytes(std::span(text)));
  if (!digest) return "failed";
  std::string hex;
  for (const std::byte byte : *digest)
    for (const unsigned half :
         {std::to_integer<unsigned>(byte) >> 4, std::to_integer<unsigned>(byte) & 15})
      hex += "0123456789abcdef"[half];
  return hex;
}

TEST(Digest, Rfc3174_7_3_KnownAnswers) {
  EXPECT_EQ(hex_sha1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex_sha1("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex_sha1(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

std::string accept_of(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const auto digest = sha1(std::as_bytes(std::span(text)));
  return digest ? base::base64_encode(*digest) : "failed";
}

TEST(Digest, Rfc6455_1_3_ComputesTheAcceptOfAKey) {
  EXPECT_EQ(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(accept_of("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

}  // namespace
}  // namespace tern::crypto
