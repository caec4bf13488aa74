// The search for a byte: every byte at every place, against a guard page.
#include "simd/find.h"
#include "support/guard_page.h"

#include <array>
#include <cstddef>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <string_view>

namespace tern::simd {
namespace {

constexpr auto is_x = [](auto c) { return c == 'x'; };
constexpr auto is_control = [](auto c) { return ((c < 0x20) ^ (c == '\t')) | (c == 0x7F); };

// The reference: applies the rule to one byte after the other.
template <typename Rule>
std::size_t plain(std::string_view text, Rule rule) {
  std::size_t i = 0;
  while (i < text.size() && !rule(static_cast<Byte>(text[i]))) ++i;
  return i;
}

template <typename Rule>
std::size_t found(std::string_view text, Rule rule) {
  const char* const end = text.data() + text.size();
  return static_cast<std::size_t>(find_if(text.data(), end, rule) - text.data());
}

template <typename Rule>
std::size_t found(std::span<const std::byte> bytes, Rule rule) {
  return found({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, rule);
}

// Each text ends or begins at a guard page, so that a read outside it ends the process.
TEST(Find, FindsEveryByteAtEveryPlaceReadingNothingOutside) {
  const test::GuardPage page(80);
  for (std::size_t size = 0; size <= 52; ++size) {
    for (std::size_t place = 0; place < size; ++place) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string text(size, 'v');
        text[place] = static_cast<char>(byte);
        const std::size_t expected = plain(text, is_control);
        for (const auto span : {page.copy_at_end(text), page.copy_at_begin(text)}) {
          ASSERT_EQ(found(span, is_control), expected) << byte << " at " << place << " of " << size;
        }
      }
    }
  }
}

TEST(Find, ReturnsTheFirstOfSeveral) {
  const test::GuardPage page(52);
  for (std::size_t size = 2; size <= 52; ++size) {
    for (std::size_t first = 0; first < size; ++first) {
      for (std::size_t second = first; second < size; ++second) {
        std::string text(size, '\xFF');
        text[first] = text[second] = 'x';
        ASSERT_EQ(found(page.copy_at_end(text), is_x), first) << second << " of " << size;
      }
    }
  }
}

TEST(Find, ReturnsTheEndWhenThereIsNone) {
  const test::GuardPage page(80);
  for (std::size_t size = 0; size <= 80; ++size) {
    EXPECT_EQ(found(page.copy_at_end(std::string(size, 'v')), is_x), size);
  }
  EXPECT_EQ(found(std::string_view(), is_x), 0U) << "a null pointer";
}

}  // namespace
}  // namespace tern::simd
