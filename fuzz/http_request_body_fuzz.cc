// Checks the body of a request against a simple reference, which reads the whole input at once, and
// checks that no cut of the input changes the result. Input: one byte that chooses the limits and
// the framing, one byte that is the length of a counted body, then the bytes of the peer.
//
// Subject: src/http/chunked.cc
// Subject: src/http/request_body.cc
#include "http/request_body.h"
#include "support/http_heads.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using tern::Limits;
using tern::fuzz::require;
using tern::http::BodyFraming;
using tern::http::ChunkedReader;
using tern::http::HeadParser;
using tern::http::RequestBody;
using Status = RequestBody::Status;

struct Outcome {
  Status status = Status::more;
  std::size_t took = 0;
  std::string text{};
  tern::Errc error{};
  bool operator==(const Outcome&) const = default;
};

Outcome read(BodyFraming framing, const Limits& limits, std::string_view input, std::size_t most) {
  std::uint32_t random = static_cast<std::uint32_t>(input.size());
  RequestBody body(framing, limits);
  std::size_t took = 0;
  while (body.status() == Status::more && took < input.size()) {
    random = random * 1664525 + 1013904223;
    const std::size_t size = most >= input.size() ? most : 1 + (random >> 8) % most;
    const tern::fuzz::ExactBlock piece(input.substr(took, size));
    const std::size_t now = body.feed(piece.bytes());
    require(now == piece.text().size() || body.status() != Status::more);
    took += now;
  }
  require(body.text().size() <= limits.max_body_bytes);
  return {body.status(), took, std::string(body.text()), body.error()};
}

// Reads a chunked body in the most direct way. It knows no place of a fault, only that there is
// one.
class Reference {
 public:
  Reference(std::string_view input, const Limits& limits) : input_(input), limits_(limits) {}

  Outcome run() {
    Status status = Status::done;
    while (status == Status::done && !last_) status = chunk();
    if (status == Status::done) status = trailers();
    return {status, at_, text_};
  }

 private:
  static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }
  static bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
  }

  Status chunk() {
    const std::size_t begin = at_;
    while (at_ < input_.size() && is_hex(input_[at_])) ++at_;
    const std::string digits(input_.substr(begin, at_ - begin));
    if (digits.size() > 16) return Status::failed;
    const std::uint64_t size = digits.empty() ? 0 : std::stoull(digits, nullptr, 16);
    if (size > limits_.max_body_bytes - text_.size()) return Status::failed;
    if (at_ == input_.size()) return Status::more;
    if (digits.empty()) return Status::failed;
    if (const Status status = extensions(); status != Status::done) return status;
    if (const Status status = line_end(); status != Status::done) return status;
    last_ = size == 0;
    if (last_) return Status::done;
    const std::string_view data = input_.substr(at_, size);
    text_ += data;
    at_ += data.size();
    return data.size() < size ? Status::more : line_end();
  }

  Status extensions() {
    const std::size_t end = std::min(input_.find('\r', at_), input_.size());
    const std::string_view all = input_.substr(at_, end - at_);
    at_ = end;
    const std::string_view behind_space =
        all.substr(std::min(all.find_first_not_of(" \t"), all.size()));
    extension_bytes_ += all.size();
    if (extension_bytes_ > ChunkedReader::max_extension_bytes) return Status::failed;
    if (!behind_space.empty() && behind_space.front() != ';') return Status::failed;
    if (std::ranges::any_of(all, is_control)) return Status::failed;
    if (end == input_.size()) return Status::more;
    return !all.empty() && behind_space.empty() ? Status::failed : Status::done;
  }

  Status line_end() {
    for (const char expected : {'\r', '\n'}) {
      if (at_ == input_.size()) return Status::more;
      if (input_[at_] != expected) return Status::failed;
      ++at_;
    }
    return Status::done;
  }

  // Trailers have the grammar of the fields of a request.
  Status trailers() {
    constexpr std::string_view line = "GET / HTTP/1.1\r\n";
    Limits limits = limits_;
    limits.max_head_bytes += line.size();
    HeadParser parser;
    parser.start(HeadParser::Kind::request, limits);
    const std::string head = std::string(line) + std::string(input_.substr(at_));
    at_ += parser.feed(std::as_bytes(std::span(head))) - line.size();
    if (parser.status() == HeadParser::Status::more) return Status::more;
    return parser.status() == HeadParser::Status::done ? Status::done : Status::failed;
  }

  std::string_view input_;
  const Limits& limits_;
  std::size_t at_ = 0;
  std::size_t extension_bytes_ = 0;
  std::string text_{};
  bool last_ = false;
};

Outcome expected(BodyFraming framing, const Limits& limits, std::string_view input) {
  if (framing.kind == BodyFraming::Kind::chunked) return Reference(input, limits).run();
  if (framing.bytes > limits.max_body_bytes) return {Status::failed};
  const std::string text(input.substr(0, framing.bytes));
  return {text.size() == framing.bytes ? Status::done : Status::more, text.size(), text};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Limits limits =
      (data[0] & 1) != 0
          ? Limits{}
          : Limits{.max_head_bytes = 64, .max_header_fields = 2, .max_body_bytes = 20};
  const BodyFraming framing = (data[0] & 2) != 0 ? BodyFraming{.kind = BodyFraming::Kind::chunked}
                                                 : BodyFraming{.kind = BodyFraming::Kind::counted,
                                                               .bytes = data[1] + std::uint64_t{1}};
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = read(framing, limits, input, input.size());
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}, std::size_t{40}}) {
    require(read(framing, limits, input, most) == whole);
  }
  const Outcome simple = expected(framing, limits, input);
  require(simple.status == whole.status);
  if (whole.status == Status::failed) return 0;
  require(simple.text == whole.text && simple.took == whole.took);
  return 0;
}
