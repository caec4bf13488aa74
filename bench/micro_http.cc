// Measures opening handshakes: the parser on a browser's request, whole and in pieces, and the
// checks of the handshake.

#include "handshake/server.h"
#include "http/head.h"
#include "http/url.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <span>
#include <string_view>

namespace {

using tern::http::HeadParser;

// 512 bytes, fields as browsers send them.
constexpr std::string_view browser_request =
    "GET /chat HTTP/1.1\r\n"
    "Host: server.example.com:9001\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/114\r\n"
    "Upgrade: websocket\r\n"
    "Origin: http://server.example.com:9001\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7,fr,el,e\r\n"
    "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "\r\n";
static_assert(browser_request.size() == 512);

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

void parse_request(benchmark::State& state) {
  const auto piece = static_cast<std::size_t>(state.range(0));
  HeadParser parser;
  for (auto _ : state) {
    parser.start(HeadParser::Kind::request, {});
    for (std::size_t at = 0; at < browser_request.size(); at += piece) {
      parser.feed(bytes(browser_request.substr(at, piece)));
    }
    benchmark::DoNotOptimize(parser.status());
  }
  if (parser.status() != HeadParser::Status::done) state.SkipWithError("not a request");
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(browser_request.size()));
}
BENCHMARK(parse_request)->Arg(512)->Arg(64)->Arg(1);

void parse_and_check_request(benchmark::State& state) {
  HeadParser parser;
  bool good = true;
  for (auto _ : state) {
    parser.start(HeadParser::Kind::request, {});
    parser.feed(bytes(browser_request));
    const tern::Request request = parser.request();
    tern::http::BodyFraming framing;
    good = good && !tern::handshake::check_request(request, framing) &&
           !tern::handshake::check_upgrade(request, {});
  }
  if (!good) state.SkipWithError("refused");
}
BENCHMARK(parse_and_check_request);

void write_accept(benchmark::State& state) {
  HeadParser parser;
  parser.start(HeadParser::Kind::request, {});
  parser.feed(bytes(browser_request));
  const tern::Request request = parser.request();
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(tern::handshake::write_accept(out, request, {}, {}));
  }
}
BENCHMARK(write_accept);

void parse_url(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(tern::http::parse_url("wss://server.example.com:9001/chat?room=7"));
  }
}
BENCHMARK(parse_url);

}  // namespace
