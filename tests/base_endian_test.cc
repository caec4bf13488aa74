// Loads and stores in network byte order, checked for every bit and at every address.
#include "base/endian.h"
#include "support/guard_page.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <type_traits>

namespace tern::base {
namespace {

constexpr std::array bytes{std::byte{0x01}, std::byte{0x23}, std::byte{0x45}, std::byte{0x67},
                           std::byte{0x89}, std::byte{0xAB}, std::byte{0xCD}, std::byte{0xEF}};

// The functions are constant expressions.
static_assert(load_be16(bytes.data()) == 0x0123);
static_assert(load_be32(bytes.data()) == 0x01234567);
static_assert(load_be64(bytes.data()) == 0x0123456789ABCDEF);
static_assert([] {
  std::array<std::byte, 8> to{};
  store_be64(to.data(), 0x0123456789ABCDEF);
  return to == bytes;
}());

template <typename T, typename Load, typename Store>
void check(Load load, Store store) {
  const test::GuardPage page(64);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::byte* const at = page.at_end(sizeof(T) + shift).data();
    for (std::size_t bit = 0; bit < 8 * sizeof(T); ++bit) {
      const T value = static_cast<T>(T{1} << bit);
      store(at, value);
      for (std::size_t i = 0; i < sizeof(T); ++i) {
        const bool here = i == sizeof(T) - 1 - bit / 8;
        ASSERT_EQ(std::to_integer<unsigned>(at[i]), here ? 1U << bit % 8 : 0U) << bit << ' ' << i;
      }
      ASSERT_EQ(load(at), value);
    }
  }
}

TEST(Endian, Rfc6455_5_2_MovesEveryBitOf16AtEveryAddress) {
  check<std::uint16_t>(&load_be16, &store_be16);
}
TEST(Endian, Rfc6455_5_2_MovesEveryBitOf32AtEveryAddress) {
  check<std::uint32_t>(&load_be32, &store_be32);
}
TEST(Endian, Rfc6455_5_2_MovesEveryBitOf64AtEveryAddress) {
  check<std::uint64_t>(&load_be64, &store_be64);
}

}  // namespace
}  // namespace tern::base
