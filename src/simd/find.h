#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

// std::find_if over octets, 16 at a time. A rule is written once, for both kinds of argument: a
// lambda of `auto` that is called with an Octet or with Octets, and made of what both have:
// comparisons with constants, and & | ^ between those.

namespace tern::simd {

using Octet = unsigned char;
using Octets [[gnu::vector_size(16)]] = Octet;

/// The first octet for which the rule holds, or `end`. None outside of [from, end) is read.
/// Thread: any.
template <typename Rule>
[[gnu::always_inline]] inline const char* find_if(const char* from, const char* end,
                                                  Rule rule) noexcept {
#if defined(__x86_64__)
  constexpr std::ptrdiff_t width = sizeof(Octets);
  if (end - from >= width) {
    const auto hits = [rule](const char* at) {
      Octets octets;
      std::memcpy(&octets, at, sizeof octets);
      return static_cast<unsigned>(_mm_movemask_epi8(std::bit_cast<__m128i>(rule(octets))));
    };
    const char* const last = end - width;
    for (; from <= last; from += width) {
      if (const unsigned bits = hits(from)) return from + std::countr_zero(bits);
    }
    // The rest, together with octets in front of it, of which it is known that none is a hit.
    const unsigned bits = hits(last);
    return bits != 0 ? last + std::countr_zero(bits) : end;
  }
#endif
  while (from != end && !rule(static_cast<Octet>(*from))) ++from;
  return from;
}

}  // namespace tern::simd
