// Chooses the proxy for a URL by the rules of curl, which users know. Only the password is
// secret, but no message repeats any part of a proxy's URL, because a malformed one may hold the
// password anywhere.

#include "client/proxy.h"

#include "http/authority.h"
#include "http/percent.h"
#include "http/token.h"

#include <initializer_list>
#include <utility>

namespace tern::client {
namespace {

using Protocol = ProxyServer::Protocol;

struct Scheme {
  std::string_view name;
  Protocol protocol;
  std::uint16_t port;
};

constexpr Scheme schemes[] = {
    {"http", Protocol::http, 80},
    {"https", Protocol::https, 443},
    {"socks5", Protocol::socks5, 1080},
    {"socks5h", Protocol::socks5h, 1080},
};

Error refuse(std::string_view why) noexcept {
  return Error::described(Errc::options_invalid, std::string("proxy: ").append(why));
}

// RFC 3986 §3.2.1. A name without a password has the empty password.
std::optional<Credentials> parse_credentials(std::string_view text) {
  const std::size_t colon = text.find(':');
  auto name = http::percent_decode(text.substr(0, colon));
  auto password =
      http::percent_decode(colon == text.npos ? std::string_view() : text.substr(colon + 1));
  if (!name || !password) return {};
  return Credentials{*std::move(name), *std::move(password)};
}

struct Variable {
  const char* name;
  const char* value;
};

// The first variable that is set.
std::optional<Variable> first_set(Environment environment,
                                  std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* value = environment(name)) return Variable{name, value};
  }
  return {};
}

// HTTP_PROXY is not read, because a CGI program finds a header field of its client there
// ("httpoxy").
std::optional<Variable> proxy_variable(Environment environment, bool secure) {
  if (secure) {
    return first_set(environment, {"wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY",
                                   "all_proxy", "ALL_PROXY"});
  }
  return first_set(environment, {"ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"});
}

bool is_bypassed(const ProxySettings& settings, const http::Url& url, Environment environment) {
  if (settings.bypass) return settings.bypass->matches(url.host, url.port);
  const auto list = first_set(environment, {"no_proxy", "NO_PROXY"});
  return list && NoProxy(list->value).matches(url.host, url.port);
}

}  // namespace

std::string ProxyServer::name() const { return "proxy " + http::format_authority(host, port); }

Result<ProxyServer> parse_proxy(std::string_view url) {
  const Scheme* scheme = &schemes[0];
  if (const std::size_t end = url.find("://"); end != url.npos) {
    scheme = nullptr;
    for (const Scheme& known : schemes) {
      if (http::iequals(url.substr(0, end), known.name)) scheme = &known;
    }
    if (scheme == nullptr) return refuse("the scheme is not http, https, socks5 or socks5h");
    url.remove_prefix(end + 3);
  }
  ProxyServer server;
  server.protocol = scheme->protocol;
  if (url.ends_with('/')) url.remove_suffix(1);
  if (const std::size_t at = url.rfind('@'); at != url.npos) {
    server.credentials = parse_credentials(url.substr(0, at));
    if (!server.credentials) return refuse("the name or the password is malformed");
    url.remove_prefix(at + 1);
  }
  const auto authority = http::parse_authority(url);
  if (!authority || authority->host.find('%') != url.npos || authority->port == 0) {
    return refuse("the host or the port is malformed");
  }
  server.host = authority->host;
  server.port = authority->port.value_or(scheme->port);
  return server;
}

Result<std::optional<ProxyServer>> choose_proxy(const Proxy& proxy, const http::Url& url,
                                                Environment environment) {
  using Choice = std::optional<ProxyServer>;
  const ProxySettings* settings = proxy.settings();
  if (settings == nullptr || is_bypassed(*settings, url, environment)) return Choice();
  Choice choice = settings->server;
  if (!choice) {
    const auto variable = proxy_variable(environment, url.secure);
    if (!variable || *variable->value == '\0') return Choice();
    auto parsed = parse_proxy(variable->value);
    if (!parsed) {
      return Error::described(Errc::options_invalid,
                              std::string(variable->name) + ": " + parsed.error().message());
    }
    choice = *std::move(parsed);
  }
  if (settings->credentials) choice->credentials = settings->credentials;
  choice->tls = settings->tls;
  return choice;
}

}  // namespace tern::client

namespace tern {

client::ProxySettings& Proxy::change() {
  auto changed = settings_ ? std::make_shared<client::ProxySettings>(*settings_)
                           : std::make_shared<client::ProxySettings>();
  client::ProxySettings& settings = *changed;
  settings_ = std::move(changed);
  return settings;
}

Proxy Proxy::from_environment() {
  Proxy proxy;
  proxy.change();
  return proxy;
}

Result<Proxy> Proxy::parse(std::string_view url) {
  auto server = client::parse_proxy(url);
  if (!server) return std::move(server).error();
  Proxy proxy;
  client::ProxySettings& settings = proxy.change();
  settings.server = *std::move(server);
  // An explicit proxy is for every host: the environment's no_proxy speaks of its own proxies.
  settings.bypass.emplace();
  return proxy;
}

Proxy& Proxy::bypass(std::string_view no_proxy) {
  if (settings_) change().bypass.emplace(no_proxy);
  return *this;
}

Proxy& Proxy::credentials(std::string name, std::string password) {
  if (settings_) change().credentials = client::Credentials{std::move(name), std::move(password)};
  return *this;
}

Proxy& Proxy::tls(TlsClient tls) {
  if (settings_) change().tls = std::move(tls);
  return *this;
}

}  // namespace tern
