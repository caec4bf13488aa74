// Checks that a proxy's URL that is accepted names a host and a port and is the same if it is
// written again from its parts, and that a refusal repeats no secret. Input: the URL.
//
// Subject: src/client/proxy.cc
// Subject: src/http/percent.cc
#include "client/proxy.h"
#include "http/authority.h"
#include "support/http_heads.h"

namespace {

using Protocol = tern::client::ProxyServer::Protocol;

std::string encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += digits[byte >> 4];
    encoded += digits[byte & 15];
  }
  return encoded;
}

std::string scheme_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::http:
      return "http://";
    case Protocol::https:
      return "https://";
    case Protocol::socks5:
      return "SOCKS5://";
    case Protocol::socks5h:
      break;
  }
  return "socks5h://";
}

// The variable that the URL is read from, and the only one that is set.
const char* variable = nullptr;
const char* environment(const char* name) {
  return name == std::string_view("https_proxy") ? variable : nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tern::fuzz::require;
  const tern::fuzz::ExactBlock block({reinterpret_cast<const char*>(data), size});
  const auto proxy = tern::client::parse_proxy(block.text());
  require(bool(tern::Proxy::parse(block.text())) == bool(proxy));

  // A value of the environment ends at its first NUL.
  const std::string value(block.text().substr(0, block.text().find('\0')));
  variable = value.c_str();
  const tern::http::Url to{.secure = true, .host = "example.com", .port = 443};
  auto from_environment = tern::Proxy::from_environment();
  const auto chosen = tern::client::choose_proxy(from_environment, to, environment);
  require(bool(chosen) == (value.empty() || bool(tern::client::parse_proxy(value))));
  from_environment.bypass("*");
  require(!*tern::client::choose_proxy(from_environment, to, environment));
  if (!proxy) {
    require(proxy.error().code() == tern::Errc::options_invalid);
    return 0;
  }
  require(!proxy->host.empty() && proxy->port != 0);
  std::string written = scheme_of(proxy->protocol);
  if (proxy->credentials) {
    written += encode(proxy->credentials->name) + ':' + encode(proxy->credentials->password) + '@';
  }
  written += tern::http::format_authority(proxy->host, proxy->port) + '/';
  const auto again = tern::client::parse_proxy(written);
  require(again && again->protocol == proxy->protocol);
  require(again->host == proxy->host && again->port == proxy->port);
  require(again->credentials.has_value() == proxy->credentials.has_value());
  if (!proxy->credentials) return 0;
  require(again->credentials->name == proxy->credentials->name);
  require(again->credentials->password == proxy->credentials->password);
  return 0;
}
