// Checks three rules for the head of a request. The result does not depend on how it is cut. If it
// is parsed and written again, it parses to the same. If it passes the checks of the server, the
// server's 101 passes the checks of the client. Input: the received bytes.
//
// Subject: src/http/head.cc
// Subject: src/http/framing.cc
// Subject: src/http/request.cc

#include "handshake/client.h"
#include "handshake/server.h"
#include "http/token.h"
#include "support/http_heads.h"

namespace {

using namespace std::literals;
using tern::fuzz::Outcome;
using tern::fuzz::parse;
using tern::fuzz::require;
using tern::http::HeadParser;

constexpr auto kind = HeadParser::Kind::request;

void check_round_trip(const Outcome& outcome) {
  const bool of_server = outcome.first == "OPTIONS" && outcome.second == "*";
  require(tern::http::is_token(outcome.first));
  require(of_server || tern::http::is_origin_form(outcome.second));
  const std::string text = outcome.first + ' ' + outcome.second + " HTTP/1.1\r\n";
  for (const auto& [name, value] : outcome.fields) {
    require(tern::http::is_token(name) && tern::http::is_field_value(value));
    require(tern::http::trim(value) == value);
  }
  tern::fuzz::check_written(kind, text, outcome);
}

void check_handshake(std::string_view text) {
  const tern::fuzz::ExactBlock block(text);
  HeadParser parser;
  parser.start(kind, {});
  parser.feed(block.bytes());
  const tern::Request request = parser.request("192.0.2.7:1");
  const std::string query = request.query("a");
  require(query.size() <= request.target().size());
  request.cookie("a");
  request.path();

  tern::http::BodyFraming framing;
  auto fault = tern::handshake::check_request(request, framing);
  const auto upgrade_fault = tern::handshake::check_upgrade(request, std::vector{"https://a.b"s});
  if (!fault) fault = upgrade_fault;
  if (fault) {
    const int status = tern::handshake::refusal_status(*fault, request);
    require((status >= 400 && status < 500) || status == 501);
    return;
  }
  const std::vector<std::string> known{"chat", "b"};
  const std::string_view protocol = tern::handshake::choose_protocol(request, known);
  std::string response;
  require(!tern::handshake::write_accept(response, request, protocol, {}));
  HeadParser client;
  client.start(HeadParser::Kind::response, {});
  require(client.feed(std::as_bytes(std::span(response))) == response.size());
  std::string_view chosen;
  require(!tern::handshake::check_response(client.response(), request.header("Sec-WebSocket-Key"),
                                           known, chosen));
  require(chosen == protocol);
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
      .max_head_bytes = 128, .max_request_line_bytes = 32, .max_header_fields = 3};
  tern::fuzz::check_again(kind, small, text, outcome);
  return 0;
}
