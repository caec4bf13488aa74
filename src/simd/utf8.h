#pragma once

#include "simd/cpu.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// Validation of UTF-8 (RFC 3629), which RFC 6455 §8.1 requires of text. utf8_valid checks a whole
// text; Utf8Stream checks a text that arrives in pieces.

namespace tern::simd {

namespace detail {

/// Inline code checks texts of up to this many bytes for ASCII.
inline constexpr std::size_t max_inline_ascii = 64;

/// Returns whether all of at most 64 bytes are ASCII. Takes words from the front and from the back,
/// which may overlap.
inline bool short_ascii(const std::byte* data, std::size_t size) noexcept {
  const auto word = [data](std::size_t at) {
    std::uint64_t value;
    std::memcpy(&value, data + at, sizeof value);
    return value;
  };
  const auto half = [data](std::size_t at) {
    std::uint32_t value;
    std::memcpy(&value, data + at, sizeof value);
    return value;
  };
  std::uint64_t all = 0;
  if (size >= 16) {
    std::size_t i = 0;
    do {
      all |= word(i) | word(i + 8);
      i += 16;
    } while (i + 16 <= size);
    all |= word(size - 16) | word(size - 8);
  } else if (size >= 8) {
    all = word(0) | word(size - 8);
  } else if (size >= 4) {
    all = half(0) | half(size - 4);
  } else if (size > 0) {
    all = static_cast<std::uint64_t>(data[0] | data[size / 2] | data[size - 1]);
  }
  return (all & 0x8080808080808080U) == 0;
}

bool utf8_valid_long(const std::byte* data, std::size_t size) noexcept;

}  // namespace detail

/// Returns whether a whole text is UTF-8. A text that ends inside a sequence is not UTF-8.
/// Thread: any. RFC 3629 §4; RFC 6455 §8.1.
inline bool utf8_valid(std::span<const std::byte> text) noexcept {
  return (text.size() <= detail::max_inline_ascii &&
          detail::short_ascii(text.data(), text.size())) ||
         detail::utf8_valid_long(text.data(), text.size());
}

/// Checks a text that arrives in pieces. A piece may end anywhere, even inside a character.
class Utf8Stream {
 public:
  /// Checks the next piece. Returns false at the first byte that makes the text invalid whatever
  /// follows, even inside an incomplete sequence: F4 90 fails at the 90. A failed stream never
  /// recovers: feed() refuses every later byte, and complete() returns false.
  bool feed(std::span<const std::byte> piece) noexcept {
    if (rest_ == 0 && piece.size() <= detail::max_inline_ascii &&
        detail::short_ascii(piece.data(), piece.size()))
      return true;
    return feed_long(piece);
  }

  /// Returns whether the text may end here: it did not fail, and no sequence is incomplete.
  bool complete() const noexcept { return rest_ == 0; }

 private:
  bool feed_long(std::span<const std::byte> piece) noexcept;
  bool step(std::byte byte) noexcept;
  bool fail() noexcept;

  // The incomplete sequence: it lacks `rest_` bytes, and the next one must lie between `low_` and
  // `high_`. After a failure this range is empty.
  std::uint8_t rest_ = 0;
  std::uint8_t low_ = 0;
  std::uint8_t high_ = 0;
};

/// A function that checks a whole text with the instructions of one level.
using Utf8Kernel = bool (*)(const std::byte* data, std::size_t size) noexcept;

/// Returns the kernel of a level. The level must not be above detect(). For tests and benchmarks.
Utf8Kernel utf8_kernel(Level level) noexcept;

}  // namespace tern::simd
