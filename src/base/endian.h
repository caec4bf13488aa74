#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

// Integers in network byte order (big-endian: RFC 6455 5.2) at any address: a copy of fixed size
// and a byte swap, which compilers turn into one instruction or two, and which are also constant
// expressions.

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
  std::array<std::byte, sizeof(T)> octets{};
  std::copy_n(from, sizeof(T), octets.begin());
  return swap_if_little(std::bit_cast<T>(octets));
}

template <typename T>
constexpr void store_be(std::byte* to, T value) noexcept {
  const auto octets = std::bit_cast<std::array<std::byte, sizeof(T)>>(swap_if_little(value));
  std::copy_n(octets.begin(), sizeof(T), to);
}

}  // namespace detail

/// Reads 2, 4 or 8 octets at `from`, most significant first.
constexpr std::uint16_t load_be16(const std::byte* from) noexcept {
  return detail::load_be<std::uint16_t>(from);
}
constexpr std::uint32_t load_be32(const std::byte* from) noexcept {
  return detail::load_be<std::uint32_t>(from);
}
constexpr std::uint64_t load_be64(const std::byte* from) noexcept {
  return detail::load_be<std::uint64_t>(from);
}

/// Writes `value` as 2, 4 or 8 octets at `to`, most significant first.
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
