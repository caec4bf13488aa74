#pragma once

#include "tern/error.h"
#include "tern/options.h"

#include "http/head.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tern::http {

/// Decodes the chunked coding of a request's body from bytes that arrive in any pieces. It keeps no
/// extension and no trailer, and bounds both. It reports a fault at the byte that causes the fault.
/// RFC 9112 §7.1.
class ChunkedReader {
 public:
  enum class Status : std::uint8_t {
    more,    ///< the body is not complete
    done,    ///< the body and its trailers are complete
    failed,  ///< error() returns the cause; feed() takes no more bytes
  };

  /// The extensions of all chunks of a body may have as many bytes as this.
  static constexpr std::uint32_t max_extension_bytes = 4096;

  /// `limits` bounds the content (max_body_bytes) and the trailers (max_head_bytes,
  /// max_header_fields). Lifetime: it outlives the reader.
  explicit ChunkedReader(const Limits& limits) noexcept;

  /// Takes bytes up to the end of the body, or up to the byte that is a fault, and returns how many
  /// it took. Appends the data of the chunks to `content`. Throws std::bad_alloc.
  std::size_t feed(std::span<const std::byte> input, std::string& content);

  Status status() const noexcept;
  /// The cause if status() is `failed`: body_malformed; body_too_big, as soon as a chunk announces
  /// too much; head_too_big or too_many_header_fields for trailers.
  Errc error() const noexcept { return error_; }

 private:
  enum class State : std::uint8_t {
    size_begin,  // the first digit of a size
    size,
    space,  // white space before an extension
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailers,
    done,
    failed,
  };

  void step(char c, std::size_t content_size) noexcept;
  void read_size(char c, std::size_t content_size) noexcept;
  void end_size(char c) noexcept;
  void read_extension(char c) noexcept;
  void expect(char c, char expected, State next) noexcept;
  std::size_t read_trailers(std::span<const std::byte> input);
  void fail(Errc errc) noexcept;

  const Limits* limits_;
  HeadParser trailers_{};
  std::uint64_t left_ = 0;  // of the chunk
  std::uint32_t extension_bytes_ = 0;
  Errc error_{};
  std::uint8_t digits_ = 0;  // read of the size
  State state_ = State::size_begin;
};

}  // namespace tern::http
