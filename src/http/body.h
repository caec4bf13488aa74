#pragma once

#include "tern/http.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::http {

/// Collects the beginning of a response's body: up to Content-Length, up to the last chunk (without
/// the framing of the chunks), or up to the end of the stream. RFC 9112 §6.3.
class BodyReader {
 public:
  /// Begins the body that follows `head`; keeps at most `most` bytes of it.
  void start(const ResponseHead& head, std::size_t most);
  /// Takes the next bytes, in pieces of any size. Throws std::bad_alloc.
  void feed(std::span<const std::byte> input);
  /// Whether no more input is needed: the body has ended, `most` bytes are kept, or the framing of
  /// the chunks is broken.
  bool done() const noexcept { return state_ == State::done; }
  /// The bytes kept so far. Lifetime of the view: until feed() or start().
  std::string_view text() const noexcept { return text_; }

 private:
  enum class State : std::uint8_t { until_end, counted, size, extension, data, data_end, done };

  void take(std::string_view& input);
  void chunk_size(char c) noexcept;

  std::string text_{};
  std::size_t most_ = 0;
  std::uint64_t left_ = 0;  // bytes left of the body or of the chunk
  State state_ = State::done;
  bool digits_ = false;  // a digit of the chunk's size was read
};

}  // namespace tern::http
