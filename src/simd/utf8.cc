// Validates UTF-8 with scalar code, and chooses the kernel for this machine. RFC 6455 §8.1 requires
// UTF-8 of text; RFC 3629 §4 defines it:
//
//   UTF8-1 = 00-7F
//   UTF8-2 = C2-DF tail
//   UTF8-3 = E0 A0-BF tail / E1-EC 2(tail) / ED 80-9F tail / EE-EF 2(tail)
//   UTF8-4 = F0 90-BF 2(tail) / F1-F3 3(tail) / F4 80-8F 2(tail)             tail = 80-BF
//
// All code here relies on two properties of this grammar.
// - A lead byte determines the number of bytes that follow it. Only the first of these can have a
//   range narrower than 80-BF. grammar() states both facts for each lead byte.
// - The first byte that does not fit makes the text invalid whatever follows. So "valid so far" has
//   a meaning at every byte, and Utf8Stream fails at exactly that byte. RFC 6455 §8.1 allows an
//   endpoint to fail the connection at once, and peers test for it.
//
// The size decides which code runs. Inline functions of the header recognise short ASCII. A whole
// text goes to the kernel of this machine: the scalar one is here, the vector kernels are in
// utf8_x86.cc. Utf8Stream turns pieces into whole texts: it completes the sequence left over from
// the last piece byte by byte, passes everything up to the last boundary between characters to the
// kernel, and keeps the rest (at most three bytes) as its state.

#include "simd/utf8.h"

#include "simd/utf8_kernels.h"

#include <array>
#include <atomic>

namespace tern::simd {

namespace {

// The bytes that must follow a lead byte: `rest` bytes, the first of them between `low` and `high`,
// the others between 80 and BF. If `rest` is 0, the byte is not a lead byte.
struct Follow {
  std::uint8_t rest = 0;
  std::uint8_t low = 0;
  std::uint8_t high = 0;
};

constexpr Follow grammar(unsigned lead) noexcept {
  if (lead < 0xC2) return {};                // tails; C0, C1: overlong
  if (lead < 0xE0) return {1, 0x80, 0xBF};   // U+0080   to U+07FF
  if (lead == 0xE0) return {2, 0xA0, 0xBF};  // U+0800   to U+0FFF; below: overlong
  if (lead == 0xED) return {2, 0x80, 0x9F};  // U+D000   to U+D7FF; above: surrogates
  if (lead < 0xF0) return {2, 0x80, 0xBF};   // U+1000   to U+FFFF
  if (lead == 0xF0) return {3, 0x90, 0xBF};  // U+10000  to U+3FFFF; below: overlong
  if (lead < 0xF4) return {3, 0x80, 0xBF};   // U+40000  to U+FFFFF
  if (lead == 0xF4) return {3, 0x80, 0x8F};  // U+100000 to U+10FFFF; above: no such character
  return {};
}

constexpr std::array<Follow, 128> follow_table = [] {
  std::array<Follow, 128> table{};
  for (unsigned lead = 0x80; lead < 0x100; ++lead) table[lead - 0x80] = grammar(lead);
  return table;
}();

// Requires that `lead` is not ASCII.
constexpr Follow follow(std::byte lead) noexcept {
  return follow_table[std::to_integer<std::size_t>(lead) - 0x80];
}

constexpr bool is_ascii(std::byte byte) noexcept { return byte < std::byte{0x80}; }

constexpr bool is_tail(std::byte byte) noexcept {
  return (byte & std::byte{0xC0}) == std::byte{0x80};
}

constexpr bool within(std::byte byte, std::uint8_t low, std::uint8_t high) noexcept {
  return std::to_integer<std::uint8_t>(byte) >= low && std::to_integer<std::uint8_t>(byte) <= high;
}

// The size of the incomplete sequence at the end of the text: 0 to 3 bytes.
std::size_t incomplete_bytes(const std::byte* data, std::size_t size) noexcept {
  for (std::size_t back = 1; back <= 3 && back <= size; ++back) {
    const std::byte byte = data[size - back];
    if (is_tail(byte)) continue;
    return !is_ascii(byte) && follow(byte).rest >= back ? back : 0;
  }
  return 0;
}

}  // namespace

bool utf8_valid_scalar(const std::byte* data, std::size_t size) noexcept {
  std::size_t i = 0;
  while (i < size) {
    if (is_ascii(data[i])) {
      std::uint64_t word = 0x80;
      if (i + sizeof word <= size) std::memcpy(&word, data + i, sizeof word);
      i += (word & 0x8080808080808080U) == 0 ? sizeof word : 1;
      continue;
    }
    const Follow next = follow(data[i]);
    if (next.rest == 0 || next.rest >= size - i) return false;
    if (!within(data[i + 1], next.low, next.high)) return false;
    for (std::size_t k = 2; k <= next.rest; ++k)
      if (!is_tail(data[i + k])) return false;
    i += 1U + next.rest;
  }
  return true;
}

Utf8Kernel utf8_kernel(Level level) noexcept {
#if defined(__x86_64__)
  switch (level) {
    case Level::scalar:
    case Level::sse2:
      return utf8_valid_scalar;
    case Level::ssse3:
      return utf8_valid_ssse3;
    case Level::avx2:
      return utf8_valid_avx2;
    case Level::avx512:
      return utf8_valid_avx512;
  }
#else
  static_cast<void>(level);
#endif
  return utf8_valid_scalar;
}

namespace {

bool choose_and_check(const std::byte* data, std::size_t size) noexcept;

// The comment in cpu.cc explains this pointer.
constinit std::atomic<Utf8Kernel> chosen{&choose_and_check};

bool choose_and_check(const std::byte* data, std::size_t size) noexcept {
  const Utf8Kernel kernel = utf8_kernel(detect());
  chosen.store(kernel, std::memory_order_relaxed);
  return kernel(data, size);
}

}  // namespace

bool detail::utf8_valid_long(const std::byte* data, std::size_t size) noexcept {
  return chosen.load(std::memory_order_relaxed)(data, size);
}

bool Utf8Stream::step(std::byte byte) noexcept {
  if (rest_ != 0) {
    if (!within(byte, low_, high_)) return fail();
    --rest_;
    low_ = 0x80;
    high_ = 0xBF;
  } else if (!is_ascii(byte)) {
    const Follow next = follow(byte);
    if (next.rest == 0) return fail();
    rest_ = next.rest;
    low_ = next.low;
    high_ = next.high;
  }
  return true;
}

bool Utf8Stream::fail() noexcept {
  rest_ = 1;
  low_ = 0xFF;
  high_ = 0;
  return false;
}

bool Utf8Stream::feed_long(std::span<const std::byte> piece) noexcept {
  std::size_t begin = 0;
  for (; rest_ != 0 && begin < piece.size(); ++begin)
    if (!step(piece[begin])) return false;
  const auto text = piece.subspan(begin);
  const std::size_t incomplete = incomplete_bytes(text.data(), text.size());
  if (!detail::utf8_valid_long(text.data(), text.size() - incomplete)) return fail();
  for (const std::byte byte : text.last(incomplete))
    if (!step(byte)) return false;
  return true;
}

}  // namespace tern::simd
