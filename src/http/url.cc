// Parses WebSocket URLs, RFC 6455 §3:
//
//   ws-URI  = "ws://"  host [ ":" port ] path [ "?" query ]      port 80 by default
//   wss-URI = "wss://" host [ ":" port ] path [ "?" query ]      port 443 by default
//
// Nothing is decoded or repaired: the parts of an accepted URL go to the wire as they are. A URL
// that would need a repair is refused, and the error says why.
#include "http/url.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"

#include <algorithm>

namespace tern::http {
namespace {

Error refuse(std::string_view why) noexcept { return Error(Errc::url_invalid, why); }

std::uint16_t default_port(bool secure) noexcept { return secure ? 443 : 80; }

bool take_scheme(std::string_view& rest, std::string_view scheme) noexcept {
  if (!iequals(rest.substr(0, scheme.size()), scheme)) return false;
  rest.remove_prefix(scheme.size());
  return true;
}

}  // namespace

std::string Url::host_header() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  std::string value = ipv6 ? '[' + host + ']' : host;
  if (port != default_port(secure)) value += ':' + std::to_string(port);
  return value;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  if (take_scheme(text, "wss://")) {
    url.secure = true;
  } else if (!take_scheme(text, "ws://")) {
    return refuse("the URL does not begin with ws:// or wss://");
  }
  if (text.find('#') != std::string_view::npos) {
    return refuse("the URL has a fragment");  // RFC 6455 §3: must not be used
  }
  if (!none_of(text, ends_target)) {
    return refuse("the URL has a space, a control character or a character outside of ASCII");
  }

  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  const std::string_view where = text.substr(0, end);
  if (where.find('@') != std::string_view::npos) return refuse("the URL has user information");
  const auto authority = parse_authority(where);
  // A percent-encoded host is refused, because the resolver would need it decoded and Host would
  // not.
  if (!authority || authority->host.find('%') != std::string_view::npos) {
    return refuse("the URL's host or port is malformed");
  }
  if (authority->port == 0) return refuse("the URL's port is 0");
  url.host = authority->host;
  url.port = authority->port.value_or(default_port(url.secure));

  const std::string_view target = text.substr(end);
  if (target.starts_with('/')) url.target.clear();  // §3: an empty path is "/"
  url.target += target;
  return url;
}

}  // namespace tern::http
