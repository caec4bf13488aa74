// Checks where a page is from: serialised-origin = scheme "://" host [ ":" port ] / "null",
// RFC 6454 §6.2.
//
// Cross-site WebSocket hijacking is the attack that this prevents: a page of another site uses the
// cookies of a user. Browsers send cookies with the request and do not ask for permission as they
// do for other requests (RFC 6455 §10.2). So by default only pages of the same host pass, and an
// Origin that cannot be parsed does not pass.
#include "handshake/origin.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tern::handshake {
namespace {

struct Origin {
  std::string_view scheme{};
  http::Authority where{};
  std::optional<std::uint16_t> default_port{};  // absent if the scheme is not known

  std::optional<std::uint16_t> port() const noexcept {
    return where.port ? where.port : default_port;
  }
};

constexpr std::uint16_t plain_port = 80;
constexpr std::uint16_t secure_port = 443;

std::optional<std::uint16_t> default_port(std::string_view scheme) noexcept {
  if (http::iequals(scheme, "http") || http::iequals(scheme, "ws")) return plain_port;
  if (http::iequals(scheme, "https") || http::iequals(scheme, "wss")) return secure_port;
  return {};
}

bool is_scheme_char(char c) noexcept {  // RFC 3986 §3.1
  return http::is(c, http::alpha | http::digit) || c == '+' || c == '-' || c == '.';
}

std::optional<Origin> parse_origin(std::string_view text) noexcept {
  const std::size_t end = text.find("://");
  if (end == std::string_view::npos) return {};
  Origin origin;
  origin.scheme = text.substr(0, end);
  if (origin.scheme.empty() || !http::is(origin.scheme.front(), http::alpha)) return {};
  if (!std::ranges::all_of(origin.scheme, is_scheme_char)) return {};
  const auto where = http::parse_authority(text.substr(end + 3));
  if (!where) return {};
  origin.where = *where;
  origin.default_port = default_port(origin.scheme);
  return origin;
}

// Whether the origin is a page of this server. If the server has TLS, a page that came over plain
// HTTP is not its page, because anybody on the way could have written it.
bool is_own(const Origin& origin, std::string_view host_text, Site site) noexcept {
  const auto host = http::parse_authority(host_text);
  if (!host || !origin.default_port) return false;
  const std::uint16_t own = site.security == Security::tls     ? secure_port
                            : site.security == Security::plain ? plain_port
                                                               : *origin.default_port;
  if (origin.default_port != own || !http::iequals(origin.where.host, host->host)) return false;
  return (!host->port && site.may_lack_port) || origin.port() == host->port.value_or(own);
}

bool is_listed(std::string_view text, const std::optional<Origin>& origin,
               std::string_view entry) noexcept {
  if (entry == "*" || http::iequals(entry, text)) return true;
  const auto allowed = parse_origin(entry);
  return origin && allowed && http::iequals(origin->scheme, allowed->scheme) &&
         http::iequals(origin->where.host, allowed->where.host) &&
         origin->port() == allowed->port();
}

}  // namespace

std::string why_no_origin(std::string_view entry) {
  // Some browser components send "file://" for pages from an application's own files.
  if (entry == "*" || http::iequals(entry, "null") || http::iequals(entry, "file://")) return {};
  const bool wild = entry.find('*') != std::string_view::npos;
  const std::optional<Origin> origin = wild ? std::nullopt : parse_origin(entry);
  if (origin && (http::iequals(origin->scheme, "ws") || http::iequals(origin->scheme, "wss"))) {
    return "is the URL of a WebSocket, and an origin is that of a page: write \"http" +
           std::string(entry.substr(2)) + '"';
  }
  if (origin) return {};
  const std::size_t scheme_end = entry.find("://");
  if (scheme_end == std::string_view::npos) {
    return "has no scheme: write \"https://example.org\"";
  }
  if (entry.find_first_of(" \t") != std::string_view::npos) return "contains a blank";
  const std::size_t end = entry.find_first_of("/?#", scheme_end + 3);
  if (end != std::string_view::npos) {
    return "has text after the host, and browsers do not send it: write \"" +
           std::string(entry.substr(0, end)) + '"';
  }
  if (wild) {
    return "contains *, which is no wildcard there: list each origin, or \"*\" for any";
  }
  return "is no origin: write scheme, host and, if it is not the default, port";
}

bool origin_passes(const Request& request, std::span<const std::string> allowed,
                   Site site) noexcept {
  const std::size_t lines = http::count(request.headers(), "Origin");
  if (lines == 0) return true;
  if (lines > 1) return std::ranges::find(allowed, "*") != allowed.end();
  const std::string_view text = request.header("Origin");
  const auto origin = parse_origin(text);
  if (origin && is_own(*origin, request.host(), site)) return true;
  return std::ranges::any_of(
      allowed, [&](const std::string& entry) { return is_listed(text, origin, entry); });
}

}  // namespace tern::handshake
