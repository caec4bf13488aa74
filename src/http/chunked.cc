// Decodes a chunked body, strictly:
//
//   body      = *( size [ ext ] CRLF data CRLF ) 1*"0" [ ext ] CRLF trailers CRLF
//   size      = 1*16HEXDIG
//   ext       = *( SP / HTAB ) ";" *( any byte but a control )
//   trailers  = *( field CRLF )                                     as in a head, RFC 9112 §5
//
// A bare LF, a bare CR and a control character are refused in each line, because servers differ in
// how they read them, and request smuggling uses the difference. An extension means nothing here
// (§7.1.1), so its parts are not parsed. Trailers are parsed and dropped, because a field that
// arrives behind the body may contradict the head (§7.1.2).
//
// A size is judged at each digit, so no byte of a chunk that is too large is stored. Sizes have at
// most 16 digits, and each chunk but the last has content. So the bytes around the content are
// bounded as well.
#include "http/chunked.h"

#include "http/chars.h"

#include <algorithm>

namespace tern::http {
namespace {

constexpr std::uint8_t max_digits = 16;  // of 64 bits

constexpr std::uint64_t digit_value(char c) noexcept {
  return static_cast<std::uint64_t>(is(c, digit) ? c - '0' : to_lower(c) - 'a' + 10);
}

}  // namespace

ChunkedReader::ChunkedReader(const Limits& limits) noexcept : limits_(&limits) {}

ChunkedReader::Status ChunkedReader::status() const noexcept {
  if (state_ == State::done) return Status::done;
  return state_ == State::failed ? Status::failed : Status::more;
}

std::size_t ChunkedReader::feed(std::span<const std::byte> input, std::string& content) {
  const char* const begin = reinterpret_cast<const char*>(input.data());
  std::size_t at = 0;
  while (at != input.size() && status() == Status::more) {
    if (state_ == State::trailers) {
      at += read_trailers(input.subspan(at));
    } else if (state_ == State::data) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - at));
      content.append(begin + at, size);
      at += size;
      left_ -= size;
      if (left_ == 0) state_ = State::data_cr;
    } else {
      step(begin[at], content.size());
      if (state_ != State::failed) ++at;
    }
  }
  return at;
}

void ChunkedReader::step(char c, std::size_t content_size) noexcept {
  switch (state_) {
    case State::size_begin:
    case State::size:
      return is(c, hex_digit) ? read_size(c, content_size) : end_size(c);
    case State::space:
    case State::extension:
      return read_extension(c);
    case State::size_lf:
      expect(c, '\n', left_ == 0 ? State::trailers : State::data);
      if (state_ == State::trailers) trailers_.start(HeadParser::Kind::trailers, *limits_);
      return;
    case State::data_cr:
      return expect(c, '\r', State::data_lf);
    default:
      digits_ = 0;
      return expect(c, '\n', State::size_begin);
  }
}

void ChunkedReader::read_size(char c, std::size_t content_size) noexcept {
  if (digits_ == max_digits) return fail(Errc::body_malformed);
  ++digits_;
  left_ = left_ * 16 + digit_value(c);
  if (left_ > limits_->max_body_bytes - content_size) return fail(Errc::body_too_big);
  state_ = State::size;
}

void ChunkedReader::end_size(char c) noexcept {
  if (state_ == State::size_begin) return fail(Errc::body_malformed);
  if (c == '\r') {
    state_ = State::size_lf;
  } else {
    state_ = State::space;
    read_extension(c);
  }
}

void ChunkedReader::read_extension(char c) noexcept {
  if (state_ == State::extension && c == '\r') {
    state_ = State::size_lf;
    return;
  }
  const bool allowed = state_ == State::extension ? !ends_value(static_cast<unsigned char>(c))
                                                  : c == ' ' || c == '\t' || c == ';';
  if (!allowed || extension_bytes_ == max_extension_bytes) return fail(Errc::body_malformed);
  ++extension_bytes_;
  if (c == ';') state_ = State::extension;
}

void ChunkedReader::expect(char c, char expected, State next) noexcept {
  if (c != expected) return fail(Errc::body_malformed);
  state_ = next;
}

std::size_t ChunkedReader::read_trailers(std::span<const std::byte> input) {
  const std::size_t took = trailers_.feed(input);
  switch (trailers_.status()) {
    case HeadParser::Status::more:
      break;
    case HeadParser::Status::done:
      state_ = State::done;
      trailers_.release();
      break;
    case HeadParser::Status::failed: {
      const Errc cause = trailers_.error();
      fail(cause == Errc::http_malformed ? Errc::body_malformed : cause);
      break;
    }
  }
  return took;
}

void ChunkedReader::fail(Errc errc) noexcept {
  error_ = errc;
  state_ = State::failed;
}

}  // namespace tern::http
