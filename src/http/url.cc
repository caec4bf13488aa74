// Parses WebSocket URLs, RFC 6455 §3:
//
//   ws-URI  = "ws://"  host [ ":" port ] path [ "?" query ]      port 80 by default
//   wss-URI = "wss://" host [ ":" port ] path [ "?" query ]      port 443 by default
//
// Nothing is decoded or repaired: the parts of an accepted URL go to the wire as they are. A URL
// that would need a repair is refused, and the error says why. The path of a Unix socket is
// decoded, because it does not go to the wire.
#include "http/url.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/percent.h"
#include "http/token.h"

#include <algorithm>

namespace tern::http {
namespace {

constexpr std::size_t max_unix_path = 107;  // of sockaddr_un, unix(7)

Error refuse(std::string_view why) noexcept { return Error(Errc::url_invalid, why); }

std::uint16_t default_port(bool secure) noexcept { return secure ? 443 : 80; }

bool take_scheme(std::string_view& rest, std::string_view scheme) noexcept {
  if (!iequals(rest.substr(0, scheme.size()), scheme)) return false;
  rest.remove_prefix(scheme.size());
  return true;
}

// The part behind "ws+unix:": the path, and ":" with the target.
Result<Url> parse_unix_url(std::string_view text, bool secure) {
  if (text.starts_with("//")) text.remove_prefix(2);
  const std::size_t colon = text.find(':');
  auto path = percent_decode(text.substr(0, colon));
  if (!path || text.substr(0, colon).find('?') != text.npos) {
    return refuse("the path of the Unix socket is malformed");
  }
  if (path->empty() || path->size() > max_unix_path) {
    return refuse("the path of the Unix socket must have 1 to 107 bytes");
  }
  if (path->find('\0', 1) != path->npos) return refuse("the path of the Unix socket has a NUL");
  Url url{.secure = secure, .host = "localhost", .port = default_port(secure)};
  url.unix_path = *std::move(path);
  const std::string_view target = colon == text.npos ? "/" : text.substr(colon + 1);
  if (target.starts_with('/')) url.target.clear();
  url.target += target;
  const bool is_relative = !target.empty() && target.front() != '/' && target.front() != '?';
  if (is_relative || !is_origin_form(url.target))
    return refuse("the target behind the Unix socket is malformed");
  return url;
}

}  // namespace

std::string Url::host_header() const {
  const bool is_default = port == default_port(secure);
  return format_authority(host, is_default ? std::optional<std::uint16_t>() : port);
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  const bool is_unix = take_scheme(text, "ws+unix:");
  const bool is_secure_unix = !is_unix && take_scheme(text, "wss+unix:");
  const bool is_path = is_unix || is_secure_unix;
  if (!is_path && take_scheme(text, "wss://")) {
    url.secure = true;
  } else if (!is_path && !take_scheme(text, "ws://")) {
    return refuse("the URL does not begin with ws:// or wss://");
  }
  if (text.find('#') != std::string_view::npos) {
    return refuse("the URL has a fragment");  // RFC 6455 §3: must not be used
  }
  if (!none_of(text, ends_target)) {
    return refuse("the URL has a space, a control character or a character outside of ASCII");
  }
  if (is_path) return parse_unix_url(text, is_secure_unix);

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
