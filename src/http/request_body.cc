// A body with a length has no framing of its own, so it is copied as it arrives. ChunkedReader
// decodes the others.
#include "http/request_body.h"

#include <algorithm>
#include <utility>

namespace tern::http {

RequestBody::RequestBody(BodyFraming framing, const Limits& limits) noexcept
    : chunks_(limits), left_(framing.bytes), kind_(framing.kind) {
  if (kind_ == BodyFraming::Kind::counted && left_ > limits.max_body_bytes) {
    error_ = Errc::body_too_big;
  }
}

RequestBody::Status RequestBody::status() const noexcept {
  if (error_ != Errc{}) return Status::failed;
  const bool done = kind_ == BodyFraming::Kind::chunked
                        ? chunks_.status() == ChunkedReader::Status::done
                        : left_ == 0;
  return done ? Status::done : Status::more;
}

std::size_t RequestBody::feed(std::span<const std::byte> input) {
  if (status() != Status::more) return 0;
  if (kind_ == BodyFraming::Kind::chunked) {
    const std::size_t took = chunks_.feed(input, text_);
    if (chunks_.status() == ChunkedReader::Status::failed) error_ = chunks_.error();
    return took;
  }
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  text_.append(reinterpret_cast<const char*>(input.data()), size);
  left_ -= size;
  return size;
}

std::string RequestBody::take() noexcept { return std::exchange(text_, {}); }

}  // namespace tern::http
