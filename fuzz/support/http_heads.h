#pragma once

#include "http/head.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Code that the fuzz targets of HTTP share.

namespace tern::fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

/// A copy in a heap block of exactly its size, which AddressSanitizer guards on both sides.
class ExactBlock {
 public:
  explicit ExactBlock(std::string_view text)
      : size_(text.size()), block_(std::make_unique<char[]>(text.size())) {
    std::ranges::copy(text, block_.get());
  }
  std::string_view text() const { return {block_.get(), size_}; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(text())); }

 private:
  std::size_t size_;
  std::unique_ptr<char[]> block_;
};

/// Returns a quoted value without its backslashes (quoted-pair, RFC 9110 §5.6.4).
inline std::string unescape(std::string_view quoted) {
  std::string text;
  for (std::size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] == '\\' && i + 1 < quoted.size()) ++i;
    text += quoted[i];
  }
  return text;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

/// All results of parsing a head, without views.
struct Outcome {
  http::HeadParser::Status status{};
  std::size_t took = 0;
  Errc error{};
  std::string first{};   // method or reason
  std::string second{};  // target
  int number = 0;        // status code
  int minor = 0;
  Fields fields{};
  bool operator==(const Outcome&) const = default;
};

inline Outcome outcome(http::HeadParser::Kind kind, const http::HeadParser& parser,
                       std::size_t took) {
  using Status = http::HeadParser::Status;
  Outcome all{.status = parser.status(), .took = took, .error = parser.error()};
  if (all.status != Status::done) return all;
  std::span<const HeaderField> fields;
  if (kind == http::HeadParser::Kind::request) {
    const Request request = parser.request();
    all.first = request.method();
    all.second = request.target();
    fields = request.headers();
  } else {
    const ResponseHead head = parser.response();
    all.first = head.reason;
    all.number = head.status;
    all.minor = head.minor_version;
    fields = head.fields;
  }
  for (const HeaderField& field : fields) all.fields.emplace_back(field.name, field.value);
  return all;
}

/// Parses `text` in pieces of at most `most` bytes. The text determines the sizes of the pieces.
inline Outcome parse(http::HeadParser::Kind kind, const Limits& limits, std::string_view text,
                     std::size_t most) {
  using Status = http::HeadParser::Status;
  std::uint32_t random = static_cast<std::uint32_t>(text.size());
  for (const char c : text) random = (random ^ static_cast<std::uint8_t>(c)) * 16777619U;
  http::HeadParser parser;
  parser.start(kind, limits);
  std::size_t took = 0;
  while (parser.status() == Status::more && took < text.size()) {
    random = random * 1664525 + 1013904223;
    const std::size_t size = most >= text.size() ? most : 1 + (random >> 8) % most;
    const ExactBlock piece(text.substr(took, size));
    const std::size_t now = parser.feed(piece.bytes());
    require(now == piece.text().size() || parser.status() != Status::more);
    took += now;
  }
  require(parser.started() == (took != 0));
  require(took <= limits.max_head_bytes);
  return outcome(kind, parser, took);
}

/// Parses the whole text, and checks that every way of cutting gives the same result.
inline Outcome parse_every_way(http::HeadParser::Kind kind, const Limits& limits,
                               std::string_view text) {
  Outcome whole = parse(kind, limits, text, text.size());
  for (const std::size_t most : {std::size_t{1}, std::size_t{5}, std::size_t{64}}) {
    require(parse(kind, limits, text, most) == whole);
  }
  return whole;
}

/// Checks that a head whose first line and fields are written again gives the same result. The
/// written head may be longer than the received one: "a:b" becomes "a: b".
inline void check_written(http::HeadParser::Kind kind, std::string text, const Outcome& outcome) {
  for (const auto& [name, value] : outcome.fields) text += name + ": " + value + "\r\n";
  text += "\r\n";
  Outcome again = parse(kind, {.max_head_bytes = 1 << 20}, text, text.size());
  require(again.took == text.size());
  again.took = outcome.took;
  require(again == outcome);
}

/// Checks that a parser keeps nothing when it is used again: after `text` it parses a request and a
/// response correctly.
inline void check_reuse(http::HeadParser::Kind kind, std::string_view text) {
  using Kind = http::HeadParser::Kind;
  constexpr std::string_view request = "GET /a HTTP/1.1\r\nHost: b\r\n\r\n";
  constexpr std::string_view response = "HTTP/1.1 404\r\nServer: b\r\n\r\n";
  http::HeadParser parser;
  parser.start(kind, {});
  parser.feed(std::as_bytes(std::span(text)));
  for (const auto& [next, head] : {std::pair(Kind::request, request), {Kind::response, response}}) {
    parser.start(next, {});
    require(!parser.started());
    const std::size_t took = parser.feed(std::as_bytes(std::span(head)));
    require(outcome(next, parser, took) == parse(next, {}, head, head.size()));
    require(took == head.size() && parser.status() == http::HeadParser::Status::done);
  }
}

/// Checks that small limits refuse the head or change nothing, and that a parser can be used again.
inline void check_again(http::HeadParser::Kind kind, const Limits& small, std::string_view text,
                        const Outcome& outcome) {
  const Outcome bounded = parse_every_way(kind, small, text);
  if (bounded.status == http::HeadParser::Status::done) require(bounded == outcome);
  check_reuse(kind, text);
}

}  // namespace tern::fuzz
