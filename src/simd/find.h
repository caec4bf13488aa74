#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

// A std::find_if over bytes that checks 16 of them at a time. A rule is a generic lambda
// (`auto` parameter), because find_if calls it with one Byte and with a vector of Bytes. So a
// rule may use only operations that both types have: comparisons with constants, and & | ^ between
// their results.

namespace tern::simd {

using Byte = unsigned char;
using Bytes [[gnu::vector_size(16)]] = Byte;

/// Returns the first byte for which `rule` holds, or `end`. Reads nothing outside [from, end).
/// Thread: any.
template <typename Rule>
inline const char* find_if(const char* from, const char* end, Rule rule) noexcept {
#if defined(__x86_64__)
  constexpr std::ptrdiff_t width = sizeof(Bytes);
  if (end - from >= width) {
    const auto hits = [rule](const char* at) {
      Bytes bytes;
      std::memcpy(&bytes, at, sizeof bytes);
      return static_cast<unsigned>(_mm_movemask_epi8(std::bit_cast<__m128i>(rule(bytes))));
    };
    const char* const last = end - width;
    for (; from <= last; from += width) {
      if (const unsigned bits = hits(from)) return from + std::countr_zero(bits);
    }
    // The last vector overlaps bytes that the loop has checked; none of those is a hit.
    const unsigned bits = hits(last);
    return bits != 0 ? last + std::countr_zero(bits) : end;
  }
#endif
  while (from != end && !rule(static_cast<Byte>(*from))) ++from;
  return from;
}

}  // namespace tern::simd
