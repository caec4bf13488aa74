// Checks where redirects lead: only to a URL that dial() would accept too, never from wss to ws,
// never to a Unix socket, and to the same place if the result is followed again as a whole. Input:
// the URL that was asked for as a length and its bytes, then the Location.
//
// Subject: src/client/redirect.cc
#include "client/redirect.h"
#include "support/http_heads.h"
#include "support/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tern::fuzz::require;
  tern::fuzz::Input input(data, std::min<std::size_t>(size, 4096));
  const auto from = tern::http::parse_url(input.take_bytes());
  std::string rest;
  while (!input.empty()) rest += static_cast<char>(input.take());
  if (!from) return 0;

  const tern::fuzz::ExactBlock location(rest);
  const auto to = tern::client::follow(*from, location.text());
  if (!to) {
    require(to.error().code() == tern::Errc::redirect_refused);
    return 0;
  }
  require(to->secure || !from->secure);
  require(to->unix_path.empty());
  const std::string whole = (to->secure ? "wss://" : "ws://") + to->host_header() + to->target;
  const auto parsed = tern::http::parse_url(whole);
  require(parsed && tern::client::is_same_origin(*parsed, *to) && parsed->target == to->target);
  const auto again = tern::client::follow(*from, whole);
  require(again && tern::client::is_same_origin(*again, *to) && again->target == to->target);
  const bool has_authority = rest.find("//") != rest.npos;
  if (!has_authority && from->unix_path.empty()) require(tern::client::is_same_origin(*from, *to));
  return 0;
}
