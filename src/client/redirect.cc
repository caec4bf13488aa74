// Resolves the target of a redirect, and chooses the fields that may be sent there. A reference is
// resolved as text and then parsed as any other URL, so that a redirect cannot lead to a URL that
// dial() would refuse.

#include "client/redirect.h"

#include "http/token.h"

#include <algorithm>

namespace tern::client {
namespace {

struct SchemeChange {
  std::string_view from;
  std::string_view to;
};

constexpr SchemeChange scheme_changes[] = {
    {"ws://", "ws://"}, {"wss://", "wss://"}, {"http://", "ws://"}, {"https://", "wss://"}};

Error refused(std::string_view why) {
  return Error::described(Errc::redirect_refused, std::string("redirect: ").append(why));
}

// Whether the reference begins with a scheme, RFC 3986 §3.1, §4.1.
bool has_scheme(std::string_view reference) noexcept {
  const std::size_t colon = reference.find(':');
  return colon != reference.npos && colon < reference.find_first_of("/?#");
}

// RFC 3986 §5.2.4. The path begins with '/'.
std::string remove_dot_segments(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);  // with its '/'
    path.remove_prefix(end);
    if (segment == "/.." || segment == "/.") {
      if (segment == "/..") result.resize(std::min(result.rfind('/'), result.size()));
      if (path.empty()) result += '/';
    } else {
      result += segment;
    }
  }
  return result;
}

// The target of a reference without scheme and authority, RFC 3986 §5.2.2.
std::string resolve_target(std::string_view base, std::string_view reference) {
  const std::string_view base_path = base.substr(0, base.find('?'));
  if (reference.empty()) return std::string(base);
  if (reference.starts_with('?')) return std::string(base_path).append(reference);
  const std::size_t query = std::min(reference.find('?'), reference.size());
  std::string path;
  if (!reference.starts_with('/')) path = base_path.substr(0, base_path.rfind('/') + 1);
  path.append(reference.substr(0, query));
  return remove_dot_segments(path).append(reference.substr(query));
}

std::string scheme_of(const http::Url& url) { return url.secure ? "wss://" : "ws://"; }

// The absolute URL, or nothing if its scheme is not one of ours.
std::string resolve(const http::Url& from, std::string_view reference) {
  if (has_scheme(reference)) {
    for (const SchemeChange& change : scheme_changes) {
      if (http::iequals(reference.substr(0, change.from.size()), change.from)) {
        return std::string(change.to).append(reference.substr(change.from.size()));
      }
    }
    return {};
  }
  if (reference.starts_with("//")) return scheme_of(from).append(reference.substr(2));
  return scheme_of(from) + from.host_header() + resolve_target(from.target, reference);
}

}  // namespace

bool is_redirect(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<http::Url> follow(const http::Url& from, std::string_view location) {
  if (location.empty()) return refused("there is no Location");
  const std::string absolute = resolve(from, location.substr(0, location.find('#')));
  if (absolute.empty()) return refused("its scheme is none of ws, wss, http, https");
  auto to = http::parse_url(absolute);
  if (!to) return refused(to.error().message());
  if (from.secure && !to->secure) return refused("it leads from wss:// to ws://");
  return to;
}

bool is_same_origin(const http::Url& a, const http::Url& b) noexcept {
  return a.secure == b.secure && a.port == b.port && http::iequals(a.host, b.host);
}

std::vector<std::pair<std::string, std::string>> fields_for_other_origin(
    const std::vector<std::pair<std::string, std::string>>& fields) {
  std::vector<std::pair<std::string, std::string>> kept;
  std::ranges::copy_if(fields, std::back_inserter(kept), [](const auto& field) {
    return http::iequals(field.first, "Origin") || http::iequals(field.first, "User-Agent");
  });
  return kept;
}

}  // namespace tern::client
