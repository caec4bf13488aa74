// The choice of a proxy for a URL, from the program or from the environment, and the syntax of a
// proxy's URL. The test replaces the environment by a map.
#include "client/proxy.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <string_view>

namespace {

using tern::Errc;
using tern::Proxy;
using tern::client::choose_proxy;
using tern::client::parse_proxy;
using tern::client::ProxyServer;
using tern::http::parse_url;
using Protocol = ProxyServer::Protocol;

std::map<std::string, std::string, std::less<>> variables;

const char* environment(const char* name) {
  const auto found = variables.find(name);
  return found == variables.end() ? nullptr : found->second.c_str();
}

// Returns the chosen proxy as "host:port", "straight", or the error.
std::string chosen(const Proxy& proxy, std::string_view url) {
  const auto choice = choose_proxy(proxy, *parse_url(url), environment);
  if (!choice) return choice.error().message();
  if (!*choice) return "straight";
  return (*choice)->host + ':' + std::to_string((*choice)->port);
}

TEST(ProxyUrl, SchemesHavePortsOfTheirOwn) {
  const struct {
    const char* url;
    Protocol protocol;
    const char* host;
    int port;
  } rows[] = {
      {"proxy", Protocol::http, "proxy", 80},
      {"proxy:3128", Protocol::http, "proxy", 3128},
      {"http://proxy:3128/", Protocol::http, "proxy", 3128},
      {"HTTPS://proxy", Protocol::https, "proxy", 443},
      {"socks5://192.0.2.1", Protocol::socks5, "192.0.2.1", 1080},
      {"socks5h://[::1]:9050", Protocol::socks5h, "::1", 9050},
  };
  for (const auto& row : rows) {
    const auto server = parse_proxy(row.url);
    ASSERT_TRUE(server) << row.url;
    EXPECT_EQ(server->protocol, row.protocol) << row.url;
    EXPECT_EQ(server->host, row.host) << row.url;
    EXPECT_EQ(server->port, row.port) << row.url;
    EXPECT_FALSE(server->credentials) << row.url;
  }
}

TEST(ProxyUrl, CredentialsArePercentDecoded) {
  const auto server = parse_proxy("http://al%40ice:p%3Aa%25ss@proxy:3128");
  ASSERT_TRUE(server && server->credentials);
  EXPECT_EQ(server->credentials->name, "al@ice");
  EXPECT_EQ(server->credentials->password, "p:a%ss");
  const auto without_password = parse_proxy("alice@proxy");
  ASSERT_TRUE(without_password && without_password->credentials);
  EXPECT_EQ(without_password->credentials->name, "alice");
  EXPECT_EQ(without_password->credentials->password, "");
}

TEST(ProxyUrl, AMalformedUrlIsRefusedWithoutBeingRepeated) {
  for (const std::string_view url :
       {"", "http://", "socks4://proxy", "ftp://alice:secret@proxy", "http://alice:sec%zzret@proxy",
        "http://alice:secret@", "http://proxy:0", "http://proxy:99999",
        "http://alice:secret@pro xy", "http://proxy/path", "http://pro%78y", "http://[::1",
        "http://proxy?x", "://proxy"}) {
    const auto server = parse_proxy(url);
    ASSERT_FALSE(server) << url;
    EXPECT_EQ(server.error().code(), Errc::options_invalid);
    EXPECT_EQ(server.error().message().find("secret"), std::string::npos);
  }
}

TEST(ProxyChoice, NoneConnectsStraight) {
  variables = {{"http_proxy", "env:1"}};
  EXPECT_EQ(chosen(Proxy(), "ws://example.org/"), "straight");
}

TEST(ProxyChoice, TheEnvironmentIsReadInCurlsOrder) {
  const Proxy proxy = Proxy::from_environment();
  variables = {};
  EXPECT_EQ(chosen(proxy, "ws://example.org/"), "straight");
  variables = {{"ALL_PROXY", "p:9"}};
  EXPECT_EQ(chosen(proxy, "ws://example.org/"), "p:9");
  EXPECT_EQ(chosen(proxy, "wss://example.org/"), "p:9");
  variables["all_proxy"] = "p:8";
  EXPECT_EQ(chosen(proxy, "ws://example.org/"), "p:8");
  variables["http_proxy"] = "p:7";
  EXPECT_EQ(chosen(proxy, "ws://example.org/"), "p:7");
  EXPECT_EQ(chosen(proxy, "wss://example.org/"), "p:8");
  variables["ws_proxy"] = "p:6";
  EXPECT_EQ(chosen(proxy, "ws://example.org/"), "p:6");
  variables["HTTPS_PROXY"] = "p:5";
  EXPECT_EQ(chosen(proxy, "wss://example.org/"), "p:5");
  variables["https_proxy"] = "p:4";
  EXPECT_EQ(chosen(proxy, "wss://example.org/"), "p:4");
  variables["wss_proxy"] = "p:3";
  EXPECT_EQ(chosen(proxy, "wss://example.org/"), "p:3");
}

TEST(ProxyChoice, HttpProxyInCapitalsIsNotRead) {
  variables = {{"HTTP_PROXY", "evil:1"}};
  EXPECT_EQ(chosen(Proxy::from_environment(), "ws://example.org/"), "straight");
}

TEST(ProxyChoice, AnEmptyVariableMeansNone) {
  variables = {{"ws_proxy", ""}, {"all_proxy", "p:9"}};
  EXPECT_EQ(chosen(Proxy::from_environment(), "ws://example.org/"), "straight");
}

TEST(ProxyChoice, AMalformedVariableIsNamed) {
  variables = {{"https_proxy", "socks4://p"}};
  EXPECT_EQ(chosen(Proxy::from_environment(), "wss://example.org/"),
            "https_proxy: proxy: the scheme is not http, https, socks5 or socks5h");
}

TEST(ProxyChoice, NoProxyOfTheEnvironmentOrOfTheProgram) {
  variables = {{"all_proxy", "p:9"}, {"no_proxy", "example.org"}, {"NO_PROXY", "*"}};
  EXPECT_EQ(chosen(Proxy::from_environment(), "ws://a.example.org/"), "straight");
  EXPECT_EQ(chosen(Proxy::from_environment(), "ws://example.net/"), "p:9");
  EXPECT_EQ(chosen(Proxy::from_environment().bypass("example.net"), "ws://example.org/"), "p:9");
  EXPECT_EQ(chosen(Proxy::from_environment().bypass("example.net"), "ws://example.net/"),
            "straight");
  auto fixed = Proxy::parse("q:1");
  ASSERT_TRUE(fixed);
  EXPECT_EQ(chosen(*fixed, "ws://example.org/"), "q:1")
      << "no_proxy belongs to the proxy of the environment";
  EXPECT_EQ(chosen(fixed->bypass("*"), "ws://example.org/"), "straight");
}

TEST(ProxyChoice, CredentialsReplaceThoseOfTheUrl) {
  auto proxy = Proxy::parse("http://a:b@q:1");
  ASSERT_TRUE(proxy);
  const Proxy before = *proxy;
  proxy->credentials("c", "d");
  const auto url = *parse_url("ws://example.org/");
  EXPECT_EQ((*choose_proxy(*proxy, url, environment))->credentials->name, "c");
  EXPECT_EQ((*choose_proxy(before, url, environment))->credentials->name, "a")
      << "a copy does not change with its original";
}

}  // namespace
