// The block of bytes that outlive a call.
#include "tls/kept_bytes.h"

#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>

namespace tern::tls {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text(const KeptBytes& kept) {
  return {reinterpret_cast<const char*>(kept.bytes().data()), kept.size()};
}

TEST(TlsKeptBytes, KeepsBytesInTheirOrder) {
  KeptBytes kept;
  EXPECT_TRUE(kept.empty());
  ASSERT_TRUE(kept.append(bytes("one ")));
  ASSERT_TRUE(kept.append(bytes("")));
  ASSERT_TRUE(kept.append(bytes("two")));
  EXPECT_EQ(text(kept), "one two");
  kept.consume(2);
  EXPECT_EQ(text(kept), "e two");
  ASSERT_TRUE(kept.append(bytes("!")));
  EXPECT_EQ(text(kept), "e two!");
}

TEST(TlsKeptBytes, FreesTheBlockWhenNoneIsLeft) {
  for (const bool by_clear : {false, true}) {
    KeptBytes kept;
    ASSERT_TRUE(kept.append(bytes("all")));
    if (by_clear) {
      kept.clear();
    } else {
      kept.consume(3);
    }
    EXPECT_TRUE(kept.empty());
    EXPECT_EQ(kept.bytes().data(), nullptr);
    ASSERT_TRUE(kept.append(bytes("again")));
    EXPECT_EQ(text(kept), "again");
  }
}

}  // namespace
}  // namespace tern::tls
