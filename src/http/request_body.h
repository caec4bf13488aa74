#pragma once

#include "tern/error.h"
#include "tern/options.h"

#include "http/chunked.h"
#include "http/framing.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::http {

/// Collects the body of a request up to limits.max_body_bytes. Its memory grows with the bytes that
/// arrived, never with a length that was only announced. RFC 9112 §6.3.
class RequestBody {
 public:
  enum class Status : std::uint8_t {
    more,    ///< the body is not complete
    done,    ///< text() is the whole body
    failed,  ///< error() returns the cause; feed() takes no more bytes
  };

  /// `framing` has a body. A length above the limit is a fault at once: body_too_big.
  /// Lifetime: `limits` outlives the object.
  RequestBody(BodyFraming framing, const Limits& limits) noexcept;

  /// Takes bytes up to the end of the body, or up to the byte that is a fault, and returns how many
  /// it took. The bytes behind them belong to the next request. Throws std::bad_alloc.
  std::size_t feed(std::span<const std::byte> input);

  Status status() const noexcept;
  /// The cause if status() is `failed`: body_too_big, or a cause of ChunkedReader.
  Errc error() const noexcept { return error_; }
  /// The body so far. Lifetime of the view: until feed() or take().
  std::string_view text() const noexcept { return text_; }
  /// Moves the body out; text() is empty then.
  std::string take() noexcept;

 private:
  std::string text_{};
  ChunkedReader chunks_;
  std::uint64_t left_;  // of a body with a length
  Errc error_{};
  BodyFraming::Kind kind_;
};

}  // namespace tern::http
