// Masks payloads with vectors: byte i of the payload is XORed with byte i mod 4 of the key (RFC
// 6455 §5.3). No kernel has a tail loop, and none touches memory outside the payload.
//
// All kernels have one shape. A vector is a multiple of four bytes long, so every vector that
// starts at a multiple of its size is XORed with the same vector of repeated keys. The end of the
// payload is not masked byte by byte. Instead the kernel loads the last vector of the payload
// *before* the loop, masks it with the key rotated to its place, and stores it after the loop. This
// vector overlaps bytes of the loop; both stores write the same bytes there. Each step of the loop
// loads all of its bytes before it stores any, so `dst` may lie in front of `src` and overlap it.
//
// Long payloads are aligned first. A payload starts behind its header, at any address, and stores
// that cross cache lines cost up to half of the speed inside the caches. The kernel treats the
// first vector like the last one, and the loop starts at the first aligned address behind it. Below
// `align_from` bytes the alignment costs more than it gains.

#include "simd/mask.h"

#include "simd/x86.h"

#include <atomic>

namespace tern::simd {

namespace {

void mask_scalar(std::byte* dst, const std::byte* src, std::size_t size,
                 std::uint32_t key) noexcept {
  using U64 = std::uint64_t;
  if (size <= max_inline_mask) return detail::mask_short(dst, src, size, key);
  const U64 keys = detail::twice(key);
  const U64 last = detail::load<U64>(src + size - 8) ^ detail::twice(rotate_key(key, size));
  for (std::size_t i = 0; i + 8 <= size; i += 8)
    detail::store(dst + i, detail::load<U64>(src + i) ^ keys);
  detail::store(dst + size - 8, last);
}

#if defined(__x86_64__)

constexpr std::size_t align_from = 512;

// The number of bytes before the next multiple of `width`.
std::size_t bytes_to_alignment(const std::byte* at, std::size_t width) noexcept {
  return -reinterpret_cast<std::uintptr_t>(at) & (width - 1);
}

TERN_INLINE __m128i masked128(const std::byte* from, std::uint32_t key) noexcept {
  return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)),
                       _mm_set1_epi32(static_cast<int>(key)));
}

TERN_INLINE void store128(std::byte* to, __m128i vector) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), vector);
}

TERN_INLINE void mask_unaligned_sse2(std::byte* dst, const std::byte* src, std::size_t size,
                                     std::uint32_t key) noexcept {
  const __m128i last = masked128(src + size - 16, rotate_key(key, size));
  std::size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    const __m128i a = masked128(src + i, key);
    const __m128i b = masked128(src + i + 16, key);
    const __m128i c = masked128(src + i + 32, key);
    const __m128i d = masked128(src + i + 48, key);
    store128(dst + i, a);
    store128(dst + i + 16, b);
    store128(dst + i + 32, c);
    store128(dst + i + 48, d);
  }
  for (; i + 16 <= size; i += 16) store128(dst + i, masked128(src + i, key));
  store128(dst + size - 16, last);
}

void mask_sse2(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
  if (size <= max_inline_mask) return detail::mask_short(dst, src, size, key);
  if (size < align_from) return mask_unaligned_sse2(dst, src, size, key);
  const __m128i first = masked128(src, key);
  const std::size_t skip = bytes_to_alignment(dst, 16);
  mask_unaligned_sse2(dst + skip, src + skip, size - skip, rotate_key(key, skip));
  store128(dst, first);
}

TERN_AVX2 TERN_INLINE __m256i masked256(const std::byte* from, std::uint32_t key) noexcept {
  return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
                          _mm256_set1_epi32(static_cast<int>(key)));
}

TERN_AVX2 TERN_INLINE void store256(std::byte* to, __m256i vector) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), vector);
}

TERN_AVX2 TERN_INLINE void mask_unaligned_avx2(std::byte* dst, const std::byte* src,
                                               std::size_t size, std::uint32_t key) noexcept {
  const __m256i last = masked256(src + size - 32, rotate_key(key, size));
  std::size_t i = 0;
  for (; i + 128 <= size; i += 128) {
    const __m256i a = masked256(src + i, key);
    const __m256i b = masked256(src + i + 32, key);
    const __m256i c = masked256(src + i + 64, key);
    const __m256i d = masked256(src + i + 96, key);
    store256(dst + i, a);
    store256(dst + i + 32, b);
    store256(dst + i + 64, c);
    store256(dst + i + 96, d);
  }
  for (; i + 32 <= size; i += 32) store256(dst + i, masked256(src + i, key));
  store256(dst + size - 32, last);
}

[[gnu::hot]] TERN_AVX2 void mask_avx2(std::byte* dst, const std::byte* src, std::size_t size,
                                      std::uint32_t key) noexcept {
  if (size < 32) return detail::mask_short(dst, src, size, key);
  if (size < align_from) return mask_unaligned_avx2(dst, src, size, key);
  const __m256i first = masked256(src, key);
  const std::size_t skip = bytes_to_alignment(dst, 32);
  mask_unaligned_avx2(dst + skip, src + skip, size - skip, rotate_key(key, skip));
  store256(dst, first);
}

TERN_AVX512 TERN_INLINE __m512i masked512(const std::byte* from, std::uint32_t key) noexcept {
  return _mm512_xor_si512(_mm512_loadu_si512(from), _mm512_set1_epi32(static_cast<int>(key)));
}

TERN_AVX512 TERN_INLINE void mask_unaligned_avx512(std::byte* dst, const std::byte* src,
                                                   std::size_t size, std::uint32_t key) noexcept {
  const __m512i last = masked512(src + size - 64, rotate_key(key, size));
  std::size_t i = 0;
  for (; i + 256 <= size; i += 256) {
    const __m512i a = masked512(src + i, key);
    const __m512i b = masked512(src + i + 64, key);
    const __m512i c = masked512(src + i + 128, key);
    const __m512i d = masked512(src + i + 192, key);
    _mm512_storeu_si512(dst + i, a);
    _mm512_storeu_si512(dst + i + 64, b);
    _mm512_storeu_si512(dst + i + 128, c);
    _mm512_storeu_si512(dst + i + 192, d);
  }
  for (; i + 64 <= size; i += 64) _mm512_storeu_si512(dst + i, masked512(src + i, key));
  _mm512_storeu_si512(dst + size - 64, last);
}

TERN_AVX512 void mask_avx512(std::byte* dst, const std::byte* src, std::size_t size,
                             std::uint32_t key) noexcept {
  if (size < 32) return detail::mask_short(dst, src, size, key);
  if (size < 64) return mask_unaligned_avx2(dst, src, size, key);
  if (size < align_from) return mask_unaligned_avx512(dst, src, size, key);
  const __m512i first = masked512(src, key);
  const std::size_t skip = bytes_to_alignment(dst, 64);
  mask_unaligned_avx512(dst + skip, src + skip, size - skip, rotate_key(key, skip));
  _mm512_storeu_si512(dst, first);
}

#endif  // __x86_64__

}  // namespace

MaskKernel mask_kernel(Level level) noexcept {
  switch (level) {
    case Level::scalar:
      break;
#if defined(__x86_64__)
    case Level::sse2:
    case Level::ssse3:
      return mask_sse2;
    case Level::avx2:
      return mask_avx2;
    case Level::avx512:
      return mask_avx512;
#else
    default:
      break;
#endif
  }
  return mask_scalar;
}

namespace {

void choose_and_mask(std::byte* dst, const std::byte* src, std::size_t size,
                     std::uint32_t key) noexcept;

// The comment in cpu.cc explains this pointer.
constinit std::atomic<MaskKernel> chosen{&choose_and_mask};

void choose_and_mask(std::byte* dst, const std::byte* src, std::size_t size,
                     std::uint32_t key) noexcept {
  const MaskKernel kernel = mask_kernel(detect());
  chosen.store(kernel, std::memory_order_relaxed);
  kernel(dst, src, size, key);
}

}  // namespace

[[gnu::hot]] void detail::mask_long(std::byte* dst, const std::byte* src, std::size_t size,
                                    std::uint32_t key) noexcept {
  chosen.load(std::memory_order_relaxed)(dst, src, size, key);
}

}  // namespace tern::simd
