#pragma once

#include "simd/cpu.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// Is it UTF-8 (RFC 3629, as RFC 6455 8.1 demands of text)? utf8_valid for a whole text, Utf8Stream
// for one that comes in pieces.

namespace tern::simd {

namespace detail {

/// Up to this many octets are looked through for ASCII in place of the call.
inline constexpr std::size_t max_inline_ascii = 64;

/// Whether at most 64 octets are ASCII: words from the front and from the back, which may overlap.
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

/// Whether the whole text is UTF-8: no impossible octet and no unfinished sequence at the end.
/// Thread: any. RFC 3629 §4; RFC 6455 §8.1.
inline bool utf8_valid(std::span<const std::byte> text) noexcept {
  return (text.size() <= detail::max_inline_ascii &&
          detail::short_ascii(text.data(), text.size())) ||
         detail::utf8_valid_long(text.data(), text.size());
}

/// Checks a text that comes in pieces, cut anywhere, also inside a character.
class Utf8Stream {
 public:
  /// Takes the next piece. False at the first octet that no continuation could make valid, even if
  /// the sequence it stands in is not complete: F4 90 fails at the 90. After that the stream has
  /// failed for good: every further octet is refused, complete() is false.
  bool feed(std::span<const std::byte> piece) noexcept {
    if (rest_ == 0 && piece.size() <= detail::max_inline_ascii &&
        detail::short_ascii(piece.data(), piece.size()))
      return true;
    return feed_long(piece);
  }

  /// Whether the text may end here: nothing failed and no sequence is unfinished.
  bool complete() const noexcept { return rest_ == 0; }

 private:
  bool feed_long(std::span<const std::byte> piece) noexcept;
  bool step(std::byte octet) noexcept;
  bool fail() noexcept;

  // The unfinished sequence: how many octets it lacks, and between which values the next one must
  // lie. An empty range is failure.
  std::uint8_t rest_ = 0;
  std::uint8_t low_ = 0;
  std::uint8_t high_ = 0;
};

/// What checks a whole text at one level.
using Utf8Kernel = bool (*)(const std::byte* data, std::size_t size) noexcept;

/// The kernel of a level, which must not be above detect(). For tests and benchmarks.
Utf8Kernel utf8_kernel(Level level) noexcept;

}  // namespace tern::simd
