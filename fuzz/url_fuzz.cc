// Checks that a valid URL parses to the same if it is written again from its parts, and that a
// request made from these parts passes the checks of the server. Input: the URL.
//
// Subject: src/http/url.cc
// Subject: src/http/authority.cc

#include "handshake/client.h"
#include "handshake/server.h"
#include "http/authority.h"
#include "http/url.h"
#include "support/http_heads.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tern::fuzz::require;
  const tern::fuzz::ExactBlock block({reinterpret_cast<const char*>(data), size});
  const auto url = tern::http::parse_url(block.text());
  if (!url) {
    require(url.error().code() == tern::Errc::url_invalid);
    return 0;
  }
  require(url->port != 0 && !url->host.empty() && url->target.starts_with('/'));
  const bool ipv6 = url->host.find(':') != std::string::npos;
  require(!ipv6 || tern::http::is_ipv6_address(url->host));

  const std::string scheme = url->secure ? "WSS://" : "ws://";
  const auto again = tern::http::parse_url(scheme + url->host_header() + url->target);
  require(again && again->secure == url->secure && again->host == url->host);
  require(again->port == url->port && again->target == url->target);

  std::string text;
  require(!tern::handshake::write_request(text, {.host = url->host_header(), .target = url->target},
                                          "dGhlIHNhbXBsZSBub25jZQ=="));
  tern::http::HeadParser parser;
  parser.start(tern::http::HeadParser::Kind::request,
               {.max_head_bytes = 1 << 24, .max_request_line_bytes = 1 << 24});
  require(parser.feed(std::as_bytes(std::span(text))) == text.size());
  const tern::Request request = parser.request();
  require(request.target() == url->target);
  tern::http::BodyFraming framing;
  require(!tern::handshake::check_request(request, framing));
  require(!tern::handshake::check_upgrade(request, {}));
  return 0;
}
