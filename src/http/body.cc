// Reads the body of a response that refuses an upgrade, for the error that reports it. If the
// server declares where the body ends, the reader does not wait for the end of the connection,
// because the server may keep the connection open.
//
//   chunked = *( size [ ";" … ] CRLF data CRLF ) "0" …            RFC 9112 §7.1
//
// The reader keeps only the beginning, and the client closes the connection afterwards. So nothing
// depends on where exactly the body ends: the reader skips extensions, does not read trailers, and
// takes a broken chunk as the end.
#include "http/body.h"

#include "http/chars.h"
#include "http/response.h"
#include "http/token.h"

#include <algorithm>
#include <charconv>

namespace tern::http {

void BodyReader::start(const ResponseHead& head, std::size_t most) {
  text_.clear();
  most_ = most;
  left_ = 0;
  digits_ = false;
  const std::string_view length = head.header("Content-Length");
  if (most == 0 || !has_content(head.status)) {
    state_ = State::done;
  } else if (list_contains(head.fields, "Transfer-Encoding", "chunked")) {
    state_ = State::size;
  } else if (!length.empty() && all(length, digit)) {
    // A length over 64 bits becomes the largest number, and `most` ends the body.
    if (std::from_chars(length.data(), length.data() + length.size(), left_).ec != std::errc()) {
      left_ = UINT64_MAX;
    }
    state_ = left_ == 0 ? State::done : State::counted;
  } else {
    state_ = State::until_end;
    left_ = UINT64_MAX;
  }
}

void BodyReader::feed(std::span<const std::byte> input) {
  std::string_view rest(reinterpret_cast<const char*>(input.data()), input.size());
  while (!rest.empty() && !done()) {
    if (state_ == State::size) {
      chunk_size(rest.front());
      rest.remove_prefix(1);
    } else if (state_ == State::extension || state_ == State::data_end) {
      if (rest.front() == '\n') state_ = state_ == State::extension ? State::data : State::size;
      rest.remove_prefix(1);
    } else {
      take(rest);
    }
  }
}

void BodyReader::take(std::string_view& input) {
  const std::size_t room = most_ - text_.size();
  const std::size_t size = std::min<std::uint64_t>({input.size(), room, left_});
  text_.append(input.substr(0, size));
  input.remove_prefix(size);
  left_ -= size;
  if (text_.size() == most_) {
    state_ = State::done;
  } else if (left_ == 0) {
    state_ = state_ == State::data ? State::data_end : State::done;
  }
}

void BodyReader::chunk_size(char c) noexcept {
  if (is(c, hex_digit)) {
    if (left_ >> 60 != 0) {
      state_ = State::done;
      return;
    }
    left_ = left_ * 16 + static_cast<std::uint64_t>(is(c, digit) ? c - '0' : (c | 0x20) - 'a' + 10);
    digits_ = true;
  } else if (!digits_ || left_ == 0) {  // not a chunk, or the last chunk
    state_ = State::done;
  } else {
    digits_ = false;
    state_ = c == '\n' ? State::data : State::extension;
  }
}

}  // namespace tern::http
