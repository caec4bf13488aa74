// libnats reads URLs, too, but it does not decode percent-encoded passwords, and it takes the last
// '@' of the whole text. So libnats gets only the host and the port.
#include "nats/server_url.h"

#include "http/percent.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

namespace tern::nats {
namespace {

Error refuse(std::string_view why) { return Error::described(Errc::options_invalid, why); }

// Splits at `mark`: returns the part before it and leaves the part behind it; if there is none,
// returns nothing and leaves the text.
std::string_view take_before(std::string_view& text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  text.remove_prefix(at + 1);
  return before;
}

bool read_port(std::string_view digits, std::uint16_t& port) {
  const char* end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, port);
  return error == std::errc() && stopped == end && port != 0;
}

bool is_host(std::string_view host) {
  if (host.empty()) return false;
  for (char c : host) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f ||
        std::string_view("/?#@[]%\"\\").find(c) != std::string_view::npos) {
      return false;
    }
  }
  return true;
}

Result<void> read_user(std::string_view text, ServerUrl& url) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos) {
    auto token = http::percent_decode(text);
    if (!token) return refuse("a '%' in the token is not followed by two hexadecimal digits");
    url.token = std::move(*token);
    return {};
  }
  auto user = http::percent_decode(text.substr(0, colon));
  auto password = http::percent_decode(text.substr(colon + 1));
  if (!user || !password) {
    return refuse("a '%' in the user or password is not followed by two hexadecimal digits");
  }
  if (user->empty()) return refuse("the user is empty");
  url.user = std::move(*user);
  url.password = std::move(*password);
  return {};
}

Result<void> read_host(std::string_view text, ServerUrl& url) {
  const bool brackets = text.starts_with('[');
  if (brackets) {
    const std::size_t end = text.find(']');
    if (end == text.npos) return refuse("the IPv6 address has no closing bracket");
    text.remove_prefix(1);
    url.host = take_before(text, end - 1);
    if (url.host.find(':') == url.host.npos) return refuse("no IPv6 address is in the brackets");
    if (!text.empty() && !text.starts_with(':')) return refuse("the port is invalid");
  } else {
    const std::size_t end = text.find(':');
    url.host = text.substr(0, end);
    text.remove_prefix(std::min(end, text.size()));
  }
  if (!is_host(url.host)) return refuse("the host is invalid");
  if (!text.empty() && !read_port(text.substr(1), url.port)) return refuse("the port is invalid");
  return {};
}

}  // namespace

std::string ServerUrl::plain() const {
  const bool is_ipv6 = host.find(':') != host.npos;
  return (secure ? "tls://" : "nats://") + (is_ipv6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

Result<ServerUrl> parse_server_url(std::string_view text) {
  ServerUrl url;
  if (text.starts_with("tls://")) {
    url.secure = true;
    text.remove_prefix(6);
  } else if (text.starts_with("nats://")) {
    text.remove_prefix(7);
  } else {
    return refuse("the URL does not begin with nats:// or tls://");
  }
  // A '/', '?' or '#' of a password is percent-encoded (RFC 3986 §3.2), so the first one ends the
  // host.
  const std::size_t end = text.find_first_of("/?#");
  if (end != text.npos && text.substr(end) != "/")
    return refuse("the URL has a path, a query or a fragment");
  text = text.substr(0, end);
  if (const std::size_t at = text.rfind('@'); at != text.npos) {
    if (auto read = read_user(take_before(text, at), url); !read) return read.error();
  }
  if (auto read = read_host(text, url); !read) return read.error();
  return url;
}

}  // namespace tern::nats
