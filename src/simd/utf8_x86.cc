// Validates UTF-8 with vectors, by the method of Keiser and Lemire ("Validating UTF-8 in less than
// one instruction per byte", 2021). No kernel reads outside the text.
//
// Three half bytes decide whether two bytes may be neighbours: both halves of the first byte and
// the upper half of the second. Each half byte selects a set of rules (one bit each) from a table
// of 16 entries: the rules that a byte with this half can break. The pair breaks a rule if all
// three sets contain it. One byte shuffle looks up a whole vector. The tables are computed from the
// list of rules below, and a static_assert proves that the tables and the list agree.
//
// Pairs decide everything except the third and the fourth byte of a sequence. For these the list
// has the rule two_tails, which is no error by itself. Byte i is a third or fourth byte exactly if
// byte i-2 is at least E0 or byte i-3 is at least F0. The text is invalid where this condition and
// two_tails differ.
//
// The kernels skip runs of ASCII, the most common text, 64 bytes at a time. They check only the
// first vector of a run, because the bytes before it may end with an incomplete sequence. At the
// end of a text, the SSSE3 and AVX2 kernels check the last whole vector; it may overlap bytes that
// are already checked. To get the bytes one, two and three places earlier, they load the vector
// again at these addresses, so a vector can be checked wherever it lies. The AVX-512 kernel does
// the same, and loads the end of the text with a mask.

#include "simd/utf8_kernels.h"
#include "simd/x86.h"

#if defined(__x86_64__)

#include <array>
#include <cstdint>
#include <cstring>

namespace tern::simd {

namespace {

struct Rule {
  std::uint8_t bit;
  std::uint8_t first_low, first_high;    // the range of the first byte
  std::uint8_t second_low, second_high;  // the range of the second byte
};

constexpr std::uint8_t two_tails = 0x80;

// Rules that agree in the upper half of the second byte may share a bit.
constexpr std::array rules{
    Rule{0x01, 0xC0, 0xFF, 0x00, 0x7F},       // a lead without its tail: ASCII follows
    Rule{0x01, 0xC0, 0xFF, 0xC0, 0xFF},       // a lead without its tail: another lead follows
    Rule{0x02, 0x00, 0x7F, 0x80, 0xBF},       // a tail without a lead
    Rule{0x04, 0xC0, 0xC1, 0x80, 0xBF},       // two bytes for U+0000 to U+007F
    Rule{0x08, 0xE0, 0xE0, 0x80, 0x9F},       // three bytes for U+0000 to U+07FF
    Rule{0x10, 0xED, 0xED, 0xA0, 0xBF},       // surrogates, U+D800 to U+DFFF
    Rule{0x20, 0xF0, 0xF0, 0x80, 0x8F},       // four bytes for U+0000 to U+FFFF
    Rule{0x20, 0xF5, 0xFF, 0x80, 0x8F},       // U+140000 and above, or no lead at all
    Rule{0x40, 0xF4, 0xFF, 0x90, 0xBF},       // U+110000 and above, or no lead at all
    Rule{two_tails, 0x80, 0xBF, 0x80, 0xBF},  // right in a third or fourth byte, else wrong
};

// The sets of the 16 values. They are repeated four times, so that vectors of every width load
// their table directly.
struct alignas(64) Table {
  std::array<std::uint8_t, 64> sets{};

  constexpr void add(unsigned value, std::uint8_t bit) {
    for (; value < sets.size(); value += 16) sets[value] |= bit;
  }
};

struct Tables {
  Table first_upper, first_lower, second_upper;
};

constexpr Tables tables = [] {
  Tables made;
  for (const Rule& rule : rules) {
    for (unsigned byte = rule.first_low; byte <= rule.first_high; ++byte) {
      made.first_upper.add(byte >> 4, rule.bit);
      made.first_lower.add(byte & 15, rule.bit);
    }
    for (unsigned byte = rule.second_low; byte <= rule.second_high; ++byte)
      made.second_upper.add(byte >> 4, rule.bit);
  }
  return made;
}();

constexpr bool tables_agree_with_the_rules() {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; second += 16) {
      unsigned broken = 0;
      for (const Rule& rule : rules) {
        if (rule.first_low <= first && first <= rule.first_high && rule.second_low <= second &&
            second <= rule.second_high)
          broken |= rule.bit;
      }
      if (broken != (tables.first_upper.sets[first >> 4] & tables.first_lower.sets[first & 15] &
                     tables.second_upper.sets[second >> 4]))
        return false;
    }
  }
  return true;
}
static_assert(tables_agree_with_the_rules());

// With unsigned saturation, x - third_from has its top bit set exactly if x is at least E0, and
// x - fourth_from exactly if x is at least F0.
constexpr char third_from = 0xE0 - 0x80;
constexpr char fourth_from = 0xF0 - 0x80;

// Whether the text ends with an incomplete sequence: the last byte is a lead, or the last but one
// is a lead of three or four bytes, or the third from the end is a lead of four. F5 to FF count as
// leads here; this is correct, because they are an error in any place.
bool ends_incomplete(const std::byte* end) noexcept {
  return end[-1] >= std::byte{0xC0} || end[-2] >= std::byte{0xE0} || end[-3] >= std::byte{0xF0};
}

// ---- SSSE3: vectors of 16 bytes ----

TERN_SSSE3 TERN_INLINE __m128i load128(const void* from) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

TERN_SSSE3 TERN_INLINE __m128i look_up128(const Table& table, __m128i half_bytes) noexcept {
  return _mm_shuffle_epi8(load128(&table), half_bytes);
}

// The errors in a vector; zero if there are none. `before1`, `before2` and `before3` hold the bytes
// one, two and three places before each byte of `text`.
TERN_SSSE3 TERN_INLINE __m128i errors128(__m128i text, __m128i before1, __m128i before2,
                                         __m128i before3) noexcept {
  const __m128i half = _mm_set1_epi8(0x0F);
  const __m128i first_upper = _mm_and_si128(_mm_srli_epi16(before1, 4), half);
  const __m128i first_lower = _mm_and_si128(before1, half);
  const __m128i second_upper = _mm_and_si128(_mm_srli_epi16(text, 4), half);
  const __m128i broken = _mm_and_si128(_mm_and_si128(look_up128(tables.first_upper, first_upper),
                                                     look_up128(tables.first_lower, first_lower)),
                                       look_up128(tables.second_upper, second_upper));
  const __m128i third = _mm_subs_epu8(before2, _mm_set1_epi8(third_from));
  const __m128i fourth = _mm_subs_epu8(before3, _mm_set1_epi8(fourth_from));
  const __m128i expected =
      _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8(static_cast<char>(two_tails)));
  return _mm_xor_si128(broken, expected);
}

// The errors in the first vector of the text, which has no bytes before it.
TERN_SSSE3 TERN_INLINE __m128i errors_at_start128(__m128i text) noexcept {
  return errors128(text, _mm_slli_si128(text, 1), _mm_slli_si128(text, 2), _mm_slli_si128(text, 3));
}

// Loads less than 16 bytes and fills the vector with zeros. The bytes are joined in registers from
// words that may overlap, because a load right after shorter stores would have to wait for them.
TERN_SSSE3 TERN_INLINE __m128i load_short128(const std::byte* data, std::size_t size) noexcept {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (size >= 8) {
    std::memcpy(&low, data, 8);
    std::memcpy(&high, data + size - 8, 8);
    high = size > 8 ? high >> (8 * (16 - size)) : 0;
  } else if (size >= 4) {
    std::uint32_t front = 0;
    std::uint32_t back = 0;
    std::memcpy(&front, data, 4);
    std::memcpy(&back, data + size - 4, 4);
    low = front | std::uint64_t{back} << (8 * (size - 4));
  } else {
    for (std::size_t i = 0; i < size; ++i)
      low |= std::to_integer<std::uint64_t>(data[i]) << (8 * i);
  }
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

TERN_SSSE3 TERN_INLINE __m128i errors_at128(const std::byte* at) noexcept {
  return errors128(load128(at), load128(at - 1), load128(at - 2), load128(at - 3));
}

TERN_SSSE3 TERN_INLINE bool ascii64_ssse3(const std::byte* at) noexcept {
  return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(load128(at), load128(at + 16)),
                                        _mm_or_si128(load128(at + 32), load128(at + 48)))) == 0;
}

TERN_SSSE3 TERN_INLINE bool none128(__m128i errors) noexcept {
  return _mm_movemask_epi8(_mm_cmpeq_epi8(errors, _mm_setzero_si128())) == 0xFFFF;
}

// ---- AVX2: vectors of 32 bytes ----

TERN_AVX2 TERN_INLINE __m256i load256(const void* from) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

TERN_AVX2 TERN_INLINE __m256i look_up256(const Table& table, __m256i half_bytes) noexcept {
  return _mm256_shuffle_epi8(load256(&table), half_bytes);
}

TERN_AVX2 TERN_INLINE __m256i errors256(__m256i text, __m256i before1, __m256i before2,
                                        __m256i before3) noexcept {
  const __m256i half = _mm256_set1_epi8(0x0F);
  const __m256i first_upper = _mm256_and_si256(_mm256_srli_epi16(before1, 4), half);
  const __m256i first_lower = _mm256_and_si256(before1, half);
  const __m256i second_upper = _mm256_and_si256(_mm256_srli_epi16(text, 4), half);
  const __m256i broken =
      _mm256_and_si256(_mm256_and_si256(look_up256(tables.first_upper, first_upper),
                                        look_up256(tables.first_lower, first_lower)),
                       look_up256(tables.second_upper, second_upper));
  const __m256i third = _mm256_subs_epu8(before2, _mm256_set1_epi8(third_from));
  const __m256i fourth = _mm256_subs_epu8(before3, _mm256_set1_epi8(fourth_from));
  const __m256i expected = _mm256_and_si256(_mm256_or_si256(third, fourth),
                                            _mm256_set1_epi8(static_cast<char>(two_tails)));
  return _mm256_xor_si256(broken, expected);
}

TERN_AVX2 TERN_INLINE __m256i errors_at_start256(__m256i text) noexcept {
  const __m256i lane_before = _mm256_permute2x128_si256(text, text, 0x08);  // zero, lower half
  return errors256(text, _mm256_alignr_epi8(text, lane_before, 15),
                   _mm256_alignr_epi8(text, lane_before, 14),
                   _mm256_alignr_epi8(text, lane_before, 13));
}

TERN_AVX2 TERN_INLINE __m256i errors_at256(const std::byte* at) noexcept {
  return errors256(load256(at), load256(at - 1), load256(at - 2), load256(at - 3));
}

TERN_AVX2 TERN_INLINE bool ascii64_avx2(const std::byte* at) noexcept {
  return _mm256_movemask_epi8(_mm256_or_si256(load256(at), load256(at + 32))) == 0;
}

// ---- AVX-512: vectors of 64 bytes ----

TERN_AVX512 TERN_INLINE __m512i look_up512(const Table& table, __m512i half_bytes) noexcept {
  return _mm512_shuffle_epi8(_mm512_load_si512(&table), half_bytes);
}

TERN_AVX512 TERN_INLINE __m512i errors512(__m512i text, __m512i before1, __m512i before2,
                                          __m512i before3) noexcept {
  const __m512i half = _mm512_set1_epi8(0x0F);
  const __m512i first_upper = _mm512_and_si512(_mm512_srli_epi16(before1, 4), half);
  const __m512i first_lower = _mm512_and_si512(before1, half);
  const __m512i second_upper = _mm512_and_si512(_mm512_srli_epi16(text, 4), half);
  const __m512i broken =
      _mm512_and_si512(_mm512_and_si512(look_up512(tables.first_upper, first_upper),
                                        look_up512(tables.first_lower, first_lower)),
                       look_up512(tables.second_upper, second_upper));
  const __m512i third = _mm512_subs_epu8(before2, _mm512_set1_epi8(third_from));
  const __m512i fourth = _mm512_subs_epu8(before3, _mm512_set1_epi8(fourth_from));
  constexpr int and_xor = (0xF0 & 0xCC) ^ 0xAA;  // (a & b) ^ c, in one instruction
  return _mm512_ternarylogic_epi64(_mm512_or_si512(third, fourth),
                                   _mm512_set1_epi8(static_cast<char>(two_tails)), broken, and_xor);
}

TERN_AVX512 TERN_INLINE __m512i errors_at_start512(__m512i text) noexcept {
  const __m512i lane_before = _mm512_maskz_alignr_epi32(0xFFFF, text, _mm512_setzero_si512(), 12);
  return errors512(text, _mm512_alignr_epi8(text, lane_before, 15),
                   _mm512_alignr_epi8(text, lane_before, 14),
                   _mm512_alignr_epi8(text, lane_before, 13));
}

// Loads are cheaper here than shuffles of two vectors, although each crosses a line of the cache.
TERN_AVX512 TERN_INLINE __m512i errors_at512(const std::byte* at, __m512i text) noexcept {
  return errors512(text, _mm512_loadu_si512(at - 1), _mm512_loadu_si512(at - 2),
                   _mm512_loadu_si512(at - 3));
}

// The same for the last vector, of which only the bytes in `rest` are text. A place behind the text
// counts as ASCII, and the bytes before it are needed as well, because they may end incomplete.
TERN_AVX512 TERN_INLINE __m512i errors_at_end512(const std::byte* at, __mmask64 rest,
                                                 __m512i text) noexcept {
  return errors512(text, _mm512_maskz_loadu_epi8(rest << 1 | 1, at - 1),
                   _mm512_maskz_loadu_epi8(rest << 2 | 3, at - 2),
                   _mm512_maskz_loadu_epi8(rest << 3 | 7, at - 3));
}

// Not zero if the vector ends with an incomplete sequence.
TERN_AVX512 TERN_INLINE __m512i incomplete512(__m512i text) noexcept {
  constexpr long long any = -1;
  constexpr long long last = static_cast<long long>(0xBFDFEFFFFFFFFFFFU);
  return _mm512_subs_epu8(text, _mm512_set_epi64(last, any, any, any, any, any, any, any));
}

TERN_AVX512 TERN_INLINE bool ascii512(__m512i text) noexcept {
  return _mm512_movepi8_mask(text) == 0;
}

TERN_AVX512 TERN_INLINE bool ascii256_avx512(const std::byte* at) noexcept {
  return ascii512(
      _mm512_or_si512(_mm512_or_si512(_mm512_loadu_si512(at), _mm512_loadu_si512(at + 64)),
                      _mm512_or_si512(_mm512_loadu_si512(at + 128), _mm512_loadu_si512(at + 192))));
}

}  // namespace

TERN_SSSE3 bool utf8_valid_ssse3(const std::byte* data, std::size_t size) noexcept {
  constexpr std::size_t width = 16;
  if (size < width) return none128(errors_at_start128(load_short128(data, size)));
  if (ends_incomplete(data + size)) return false;
  __m128i errors = errors_at_start128(load128(data));
  if (size < width + 3) {  // the last vector starts less than three bytes into the text
    const __m128i last = errors_at_start128(load128(data + size - width));
    const __m128i not_yet_checked = _mm_slli_si128(_mm_set1_epi8(-1), 3);
    return none128(_mm_or_si128(errors, _mm_and_si128(last, not_yet_checked)));
  }
  std::size_t i = width;
  while (i + 64 <= size) {
    errors = _mm_or_si128(errors, errors_at128(data + i));
    if (ascii64_ssse3(data + i)) {
      do i += 64;
      while (i + 64 <= size && ascii64_ssse3(data + i));
      continue;
    }
    for (std::size_t k = width; k < 64; k += width)
      errors = _mm_or_si128(errors, errors_at128(data + i + k));
    i += 64;
  }
  for (; i + width <= size; i += width) errors = _mm_or_si128(errors, errors_at128(data + i));
  return none128(_mm_or_si128(errors, errors_at128(data + size - width)));
}

TERN_AVX2 bool utf8_valid_avx2(const std::byte* data, std::size_t size) noexcept {
  constexpr std::size_t width = 32;
  if (size < width + 3) return utf8_valid_ssse3(data, size);
  if (ends_incomplete(data + size)) return false;
  __m256i errors = errors_at_start256(load256(data));
  std::size_t i = width;
  while (i + 64 <= size) {
    errors = _mm256_or_si256(errors, errors_at256(data + i));
    if (ascii64_avx2(data + i)) {
      do i += 64;
      while (i + 64 <= size && ascii64_avx2(data + i));
      continue;
    }
    errors = _mm256_or_si256(errors, errors_at256(data + i + width));
    i += 64;
  }
  for (; i + width <= size; i += width) errors = _mm256_or_si256(errors, errors_at256(data + i));
  errors = _mm256_or_si256(errors, errors_at256(data + size - width));
  return _mm256_testz_si256(errors, errors) != 0;
}

TERN_AVX512 bool utf8_valid_avx512(const std::byte* data, std::size_t size) noexcept {
  constexpr std::size_t width = 64;
  if (size < width) {  // the mask fills the vector with zeros: these are ASCII and end any sequence
    if (size == 0) return true;
    const __mmask64 all = ~__mmask64{0} >> (width - size);
    const __m512i errors = errors_at_start512(_mm512_maskz_loadu_epi8(all, data));
    return _mm512_test_epi64_mask(errors, errors) == 0;
  }
  __m512i before = _mm512_loadu_si512(data);
  __m512i errors = ascii512(before) ? _mm512_setzero_si512() : errors_at_start512(before);
  std::size_t i = width;
  for (; i + width <= size; i += width) {
    const __m512i text = _mm512_loadu_si512(data + i);
    if (ascii512(text)) {
      errors = _mm512_or_si512(errors, incomplete512(before));
      while (i + 5 * width <= size && ascii256_avx512(data + i + width)) i += 4 * width;
    } else {
      errors = _mm512_or_si512(errors, errors_at512(data + i, text));
    }
    before = text;
  }
  if (i < size) {
    const __mmask64 rest = ~__mmask64{0} >> (width - (size - i));
    const __m512i text = _mm512_maskz_loadu_epi8(rest, data + i);
    errors = _mm512_or_si512(
        errors, ascii512(text) ? incomplete512(before) : errors_at_end512(data + i, rest, text));
    before = text;
  }
  errors = _mm512_or_si512(errors, incomplete512(before));
  return _mm512_test_epi64_mask(errors, errors) == 0;
}

}  // namespace tern::simd

#endif  // __x86_64__
