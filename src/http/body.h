#pragma once

#include "tern/http.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::http {

/// Collects the beginning of an answer's body, RFC 9112 §6.3: up to Content-Length, up to the last
/// chunk (without the chunks' framing), or up to the end of the stream.
class BodyReader {
 public:
  /// Keeps at most `most` bytes of the body that follows this head.
  void start(const ResponseHead& head, std::size_t most);
  /// Takes the next bytes, in any pieces. Throws std::bad_alloc.
  void feed(std::span<const std::byte> input);
  /// Nothing more is worth waiting for: the body has ended, `most` bytes are there, or the framing
  /// of its chunks is broken.
  bool done() const noexcept { return state_ == State::done; }
  /// What was kept so far. Lifetime of the view: until feed() or start().
  std::string_view text() const noexcept { return text_; }

 private:
  enum class State : std::uint8_t { until_end, counted, size, extension, data, data_end, done };

  void take(std::string_view& input);
  void chunk_size(char c) noexcept;

  std::string text_{};
  std::size_t most_ = 0;
  std::uint64_t left_ = 0;  // of the body, or of the chunk
  State state_ = State::done;
  bool digits_ = false;  // of the chunk's size came
};

}  // namespace tern::http
