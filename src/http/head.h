#pragma once

#include "tern/error.h"
#include "tern/http.h"
#include "tern/options.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::http {

/// Parses one HTTP head, of a request or a response, or the trailers behind a body (RFC 9112
/// §7.1.2), from bytes that arrive in any pieces. It passes each byte a few times at most, however
/// the bytes were cut. Its memory grows with the bytes that arrived. It reports a fault at the byte
/// that causes the fault. It cannot be copied or moved, because views point into it. RFC 9112
/// §2-§5.
class HeadParser {
 public:
  enum class Kind : std::uint8_t { request, response, trailers };
  enum class Status : std::uint8_t {
    more,    ///< the head is not complete
    done,    ///< request() or response() may be called
    failed,  ///< error() returns the cause; feed() takes no more bytes
  };

  HeadParser() noexcept = default;
  HeadParser(const HeadParser&) = delete;
  HeadParser& operator=(const HeadParser&) = delete;

  /// Forgets the last head, keeps its memory, and waits for the next head. Copies these limits:
  /// max_head_bytes, max_request_line_bytes (requests only) and max_header_fields.
  void start(Kind kind, const Limits& limits) noexcept;
  /// Takes bytes up to the end of the blank line, or up to the byte that is a fault, and returns
  /// how many it took. The bytes behind them have no effect. Takes nothing unless status() is
  /// `more`. Throws std::bad_alloc; then only start() and release() may be called.
  std::size_t feed(std::span<const std::byte> input);

  Status status() const noexcept;
  /// The cause if status() is `failed`: http_malformed, http_version_unsupported,
  /// request_line_too_long, head_too_big or too_many_header_fields.
  Errc error() const noexcept { return error_; }
  /// Whether a byte of this head was taken.
  bool started() const noexcept { return taken_ != 0; }

  /// The request; status() must be `done`. Lifetime of its views: until start() or release(). Its
  /// remote_address() lives as long as the argument.
  Request request(std::string_view remote_address = {}) const noexcept;
  /// The response; status() must be `done`. Lifetime of its views: until start() or release().
  ResponseHead response() const noexcept;

  /// Frees the memory. The next feed() needs a start() before it.
  void release() noexcept;

 private:
  enum class State : std::uint8_t {
    before_line,     // the first byte of a request, or an empty line before it
    before_line_lf,  // the LF of that empty line
    method,
    target_start,
    target,
    version,
    status_code,
    status_end,
    reason,
    line_lf,
    field_start,
    name,
    value,
    value_lf,
    head_lf,
    done,
    failed,
  };
  struct Cursor;
  // Offsets into text_, because text_ may move when it grows.
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  struct Field {
    Range name{};
    Range value{};
  };

  void step(Cursor& at);
  void empty_line(Cursor& at) noexcept;
  void request_line(Cursor& input) noexcept;
  void method(Cursor& at) noexcept;
  void begin_target(Cursor& at) noexcept;
  bool has_method(const Cursor& at, std::string_view method) const noexcept;
  void target(Cursor& at) noexcept;
  void version(Cursor& at) noexcept;
  void status_line(Cursor& at) noexcept;
  void fields(Cursor& input);
  void begin_field(Cursor& at);
  void name(Cursor& at) noexcept;
  void value(Cursor& at, const char* line_end) noexcept;
  void line_feed(Cursor& at, State next) noexcept;
  void fail(Errc errc) noexcept;
  void finish();
  bool resolve_target(Range& authority);
  void replace_host(std::string_view authority) noexcept;
  std::string_view view(Range range) const noexcept;

  std::string text_{};  // the head as received; finish() may add a target
  std::vector<Field> ranges_{};
  std::vector<HeaderField> fields_{};  // finish() makes them from ranges_
  std::uint32_t taken_ = 0;
  std::uint32_t max_head_ = 0;
  std::uint32_t max_line_ = 0;
  std::uint32_t max_fields_ = 0;
  std::uint32_t line_begin_ = 0;  // of the request line; an empty line may precede it
  Range method_{};
  Range target_{};
  Range reason_{};
  int status_code_ = 0;
  Errc error_{};
  State state_ = State::failed;
  Kind kind_ = Kind::request;
  std::uint8_t matched_ = 0;  // characters read of the version or the status code
  char major_ = '1';
  char minor_ = '1';
};

}  // namespace tern::http
