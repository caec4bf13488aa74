#pragma once

#include "simd/cpu.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// Masking of payload (RFC 6455 5.3). A masking key is the std::uint32_t that memcpy loads from its
// four octets on the wire: XOR does not care for byte order, so no machine ever swaps it, and
// starting at another key octet is a rotation.

namespace tern::simd {

/// The key as it stands `octets` further on in the payload: its first octet is key octet `octets`
/// mod 4.
constexpr std::uint32_t rotate_key(std::uint32_t key, std::size_t octets) noexcept {
  const int bits = static_cast<int>(octets % 4 * 8);
  return std::endian::native == std::endian::little ? std::rotr(key, bits) : std::rotl(key, bits);
}

/// Up to this many octets are masked in place of the call.
inline constexpr std::size_t max_inline_mask = 32;

namespace detail {

template <typename Word>
inline Word load(const std::byte* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

template <typename Word>
inline void store(std::byte* to, Word word) noexcept {
  std::memcpy(to, &word, sizeof word);
}

inline std::uint64_t twice(std::uint32_t key) noexcept { return key | std::uint64_t{key} << 32; }

/// Masks at most 32 octets: words from the front and words from the back, which may overlap;
/// everything is loaded before anything is stored, so that in-place masking never masks an octet
/// twice.
inline void mask_short(std::byte* dst, const std::byte* src, std::size_t size,
                       std::uint32_t key) noexcept {
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  // A word that ends with the payload begins at key octet `size` mod 4, be it of 4 octets or of 8.
  const U64 front = twice(key);
  const U64 back = twice(rotate_key(key, size));
  if (size >= 16) {
    const U64 a = load<U64>(src) ^ front;
    const U64 b = load<U64>(src + 8) ^ front;
    const U64 c = load<U64>(src + size - 16) ^ back;
    const U64 d = load<U64>(src + size - 8) ^ back;
    store(dst, a);
    store(dst + 8, b);
    store(dst + size - 16, c);
    store(dst + size - 8, d);
  } else if (size >= 8) {
    const U64 a = load<U64>(src) ^ front;
    const U64 b = load<U64>(src + size - 8) ^ back;
    store(dst, a);
    store(dst + size - 8, b);
  } else if (size >= 4) {
    const U32 a = load<U32>(src) ^ static_cast<U32>(front);
    const U32 b = load<U32>(src + size - 4) ^ static_cast<U32>(back);
    store(dst, a);
    store(dst + size - 4, b);
  } else {
    std::byte octets[4];
    store(octets, key);
    for (std::size_t i = 0; i < size; ++i) dst[i] = src[i] ^ octets[i];
  }
}

void mask_long(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept;

}  // namespace detail

/// Writes `src`, masked or unmasked, to `dst`, beginning at key octet `phase` (0 to 3). `dst` has
/// room for src.size() octets; it may be src.data() or lie in front of it, also where they overlap.
/// Thread: any. RFC 6455 §5.3.
[[gnu::always_inline]] inline void mask_copy(std::byte* dst, std::span<const std::byte> src,
                                             std::uint32_t key, unsigned phase = 0) noexcept {
  key = rotate_key(key, phase);
  if (src.size() <= max_inline_mask)
    detail::mask_short(dst, src.data(), src.size(), key);
  else
    detail::mask_long(dst, src.data(), src.size(), key);
}

/// Masks or unmasks `data` in place, beginning at key octet `phase` (0 to 3).
/// Thread: any. RFC 6455 §5.3.
[[gnu::always_inline]] inline void mask(std::span<std::byte> data, std::uint32_t key,
                                        unsigned phase = 0) noexcept {
  mask_copy(data.data(), data, key, phase);
}

/// What does the work at one level, for any size; `key` begins at its first octet.
using MaskKernel = void (*)(std::byte* dst, const std::byte* src, std::size_t size,
                            std::uint32_t key) noexcept;

/// The kernel of a level, which must not be above detect(). For tests and benchmarks.
MaskKernel mask_kernel(Level level) noexcept;

}  // namespace tern::simd
