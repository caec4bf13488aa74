#pragma once

#include "simd/cpu.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// Masking of payloads (RFC 6455 §5.3). A masking key is the std::uint32_t that memcpy loads from
// its four bytes on the wire. XOR does not depend on byte order, so no machine swaps the key. To
// start at another byte of the key, rotate it.

namespace tern::simd {

/// Returns the key for a place that is `bytes` further on in the payload: its first byte is byte
/// `bytes` mod 4 of `key`.
constexpr std::uint32_t rotate_key(std::uint32_t key, std::size_t bytes) noexcept {
  const int bits = static_cast<int>(bytes % 4 * 8);
  return std::endian::native == std::endian::little ? std::rotr(key, bits) : std::rotl(key, bits);
}

/// Payloads of up to this many bytes are masked by inline code.
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

/// Masks at most 32 bytes. Takes words from the front and words from the back, which may overlap.
/// Loads everything before it stores anything, so that masking in place masks no byte twice.
inline void mask_short(std::byte* dst, const std::byte* src, std::size_t size,
                       std::uint32_t key) noexcept {
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  // A word of 4 or 8 bytes that ends with the payload starts at key byte `size` mod 4.
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
    std::byte bytes[4];
    store(bytes, key);
    for (std::size_t i = 0; i < size; ++i) dst[i] = src[i] ^ bytes[i];
  }
}

void mask_long(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept;

}  // namespace detail

/// Masks or unmasks `src` into `dst`, starting at key byte `phase` (0 to 3). `dst` has room for
/// src.size() bytes. `dst` may equal src.data(), or lie in front of it and overlap it.
/// Thread: any. RFC 6455 §5.3.
[[gnu::always_inline]] inline void mask_copy(std::byte* dst, std::span<const std::byte> src,
                                             std::uint32_t key, unsigned phase = 0) noexcept {
  key = rotate_key(key, phase);
  if (src.size() <= max_inline_mask)
    detail::mask_short(dst, src.data(), src.size(), key);
  else
    detail::mask_long(dst, src.data(), src.size(), key);
}

/// Masks or unmasks `data` in place, starting at key byte `phase` (0 to 3).
/// Thread: any. RFC 6455 §5.3.
inline void mask(std::span<std::byte> data, std::uint32_t key, unsigned phase = 0) noexcept {
  mask_copy(data.data(), data, key, phase);
}

/// A function that masks a payload of any size with the instructions of one level. It starts at the
/// first byte of `key`.
using MaskKernel = void (*)(std::byte* dst, const std::byte* src, std::size_t size,
                            std::uint32_t key) noexcept;

/// Returns the kernel of a level. The level must not be above detect(). For tests and benchmarks.
MaskKernel mask_kernel(Level level) noexcept;

}  // namespace tern::simd
