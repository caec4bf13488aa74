#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

// Loads and stores integers in network byte order (big-endian, RFC 6455 §5.2) at any address. Each
// is a copy of fixed size and a byte swap. Compilers turn this into one or two instructions, and it
// is allowed in constant expressions.

namespace tern::base {

namespace detail {

constexpr std::uint16_t byteswap(std::uint16_t value) noexcept { return __builtin_bswap16(value); }
constexpr std::uint32_t byteswap(std::uint32_t value) noexcept { return __builtin_bswap32(value); }
constexpr std::uint64_t byteswap(std::uint64_t value) noexcept { return __builtin_bswap64(value); }

template <typename T>
constexpr T swap_if_little(T value) noexcept {
  return std::endian::native == std::endian::little ? byteswap(value) : value;
}

template <typename T>
constexpr T load_be(const std::byte* from) noexcept {
  std::array<std::byte, sizeof(T)> bytes{};
  std::copy_n(from, sizeof(T), bytes.begin());
  return swap_if_little(std::bit_cast<T>(bytes));
}

template <typename T>
constexpr void store_be(std::byte* to, T value) noexcept {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(swap_if_little(value));
  std::copy_n(bytes.begin(), sizeof(T), to);
}

}  // namespace detail

/// Loads an integer of 2, 4 or 8 bytes from `from`. The most significant byte is first.
constexpr std::uint16_t load_be16(const std::byte* from) noexcept {
  return detail::load_be<std::uint16_t>(from);
}
constexpr std::uint32_t load_be32(const std::byte* from) noexcept {
  return detail::load_be<std::uint32_t>(from);
}
constexpr std::uint64_t load_be64(const std::byte* from) noexcept {
  return detail::load_be<std::uint64_t>(from);
}

/// Stores `value` as 2, 4 or 8 bytes at `to`. The most significant byte is first.
constexpr void store_be16(std::byte* to, std::uint16_t value) noexcept {
  detail::store_be(to, value);
}
constexpr void store_be32(std::byte* to, std::uint32_t value) noexcept {
  detail::store_be(to, value);
}
constexpr void store_be64(std::byte* to, std::uint64_t value) noexcept {
  detail::store_be(to, value);
}

}  // namespace tern::base
