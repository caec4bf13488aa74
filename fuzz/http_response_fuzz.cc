// Checks three rules for the head of a response. The result does not depend on how it is cut. If it
// is parsed and written again, it parses to the same. It passes the checks of the client only with
// the correct Sec-WebSocket-Accept. Input: the received bytes.
//
// Subject: src/http/head.cc

#include "handshake/client.h"
#include "http/token.h"
#include "support/http_heads.h"

namespace {

using tern::fuzz::Outcome;
using tern::fuzz::parse;
using tern::fuzz::require;
using tern::http::HeadParser;

constexpr auto kind = HeadParser::Kind::response;
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

void check_round_trip(const Outcome& outcome) {
  require(outcome.number >= 100 && outcome.number <= 999);
  const std::string text = "HTTP/1." + std::to_string(outcome.minor) + ' ' +
                           std::to_string(outcome.number) + ' ' + outcome.first + "\r\n";
  for (const auto& [name, value] : outcome.fields) {
    require(tern::http::is_token(name) && tern::http::is_field_value(value));
  }
  tern::fuzz::check_written(kind, text, outcome);
}

void check_handshake(std::string_view text) {
  const tern::fuzz::ExactBlock block(text);
  HeadParser parser;
  parser.start(kind, {});
  parser.feed(block.bytes());
  const tern::ResponseHead head = parser.response();
  const std::vector<std::string> offered{"chat", "b"};
  std::string_view chosen;
  if (tern::handshake::check_response(head, key, offered, chosen)) {
    require(chosen.empty());
    return;
  }
  require(head.status == 101 && head.minor_version == 1);
  require(head.header("Sec-WebSocket-Accept") == accept);
  require(tern::http::iequals(head.header("Upgrade"), "websocket"));
  require(head.header("Sec-WebSocket-Protocol") == chosen);
  require(tern::http::count(head.fields, "Sec-WebSocket-Extensions") == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Outcome outcome = tern::fuzz::parse_every_way(kind, {}, text);
  if (outcome.status == HeadParser::Status::done) {
    check_round_trip(outcome);
    check_handshake(text);
  }
  const tern::Limits small{
      .max_head_bytes = 128, .max_request_line_bytes = 0, .max_header_fields = 3};
  tern::fuzz::check_again(kind, small, text, outcome);
  return 0;
}
