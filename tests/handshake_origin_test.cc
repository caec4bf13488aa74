// origin_passes and why_no_origin: which pages may open a connection, RFC 6455 §10.2.
#include "handshake/origin.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::handshake {
namespace {

bool passes(std::string_view host, const std::vector<std::string>& origins,
            const std::vector<std::string>& allowed = {}, Security security = Security::plain) {
  std::vector<HeaderField> fields{{"Host", host}};
  for (const std::string& origin : origins) fields.push_back({"origin", origin});
  return origin_passes(Request({.fields = fields}), allowed, security);
}

TEST(HandshakeOrigin, Rfc6455_10_2_ARequestWithoutOriginPasses) {
  EXPECT_TRUE(passes("a", {}));
  EXPECT_TRUE(passes("a", {}, {"https://b"}));
}

TEST(HandshakeOrigin, Rfc6455_10_2_HostAndPortOfTheServerPass) {
  struct Same {
    std::string host;
    std::string origin;
    Security security = Security::plain;
  };
  const std::vector<Same> same{
      {"example.org", "http://example.org"},
      {"example.org", "https://example.org", Security::tls},
      {"Example.ORG", "HTTPS://eXample.org", Security::tls},
      {"example.org:80", "http://example.org"},
      {"example.org", "http://example.org:80"},
      {"example.org:443", "https://example.org", Security::tls},
      {"example.org", "https://example.org:443", Security::tls},
      {"example.org", "wss://example.org:443", Security::tls},
      {"example.org:80", "ws://example.org"},
      {"example.org:9001", "http://example.org:9001"},
      {"example.org:9001", "https://example.org:9001", Security::tls},
      {"example.org:", "https://example.org", Security::tls},
      {"[::1]:9001", "http://[::1]:9001"},
      {"[2001:DB8::1]", "http://[2001:db8::1]"},
      {"127.0.0.1:8080", "http://127.0.0.1:8080"},
  };
  for (const Same& row : same) {
    SCOPED_TRACE(row.host + ' ' + row.origin);
    EXPECT_TRUE(passes(row.host, {row.origin}, {}, row.security));
    // The other scheme is another origin (RFC 6454 §5), so it passes only if it is listed.
    const Security other = row.security == Security::tls ? Security::plain : Security::tls;
    EXPECT_FALSE(passes(row.host, {row.origin}, {}, other));
    EXPECT_TRUE(passes(row.host, {row.origin}, {row.origin}, other));
  }
}

TEST(HandshakeOrigin, Rfc6455_10_2_AnyOtherOriginIsRefused) {
  const std::vector<std::pair<std::string, std::string>> other{
      {"example.org", "http://example.com"},
      {"example.org", "http://sub.example.org"},
      {"example.org", "http://example.org.evil.com"},
      {"example.org", "http://evil-example.org"},
      {"example.org", "http://example.org."},
      {"example.org:9001", "http://example.org"},
      {"example.org", "http://example.org:9001"},
      {"example.org:443", "http://example.org"},
      {"example.org:80", "https://example.org"},
      {"example.org", "https://example.org:80"},
      {"example.org:9001", "http://example.org:9002"},
      {"example.org", "null"},
      {"example.org", ""},
      {"example.org", "example.org"},
      {"example.org", "//example.org"},
      {"example.org", "://example.org"},
      {"example.org", "http:example.org"},
      {"example.org", "http://"},
      {"example.org", "http://example.org/"},
      {"example.org", "http://example.org/path"},
      {"example.org", "http://example.org?x"},
      {"example.org", "http://user@example.org"},
      {"example.org", "http://example.org:99999"},
      {"example.org", "http://example.org:80x"},
      {"example.org", "http://example.org http://example.org"},
      {"example.org", "http://example.org, http://example.org"},
      {"example.org", "1http://example.org"},
      {"example.org", "h ttp://example.org"},
      {"example.org", "file://example.org"},
      {"example.org:7", "chrome-extension://example.org:7"},
      {"::1", "http://[::1]"},
      {"[::1]", "http://[::2]"},
      {"", "http://"},
      {"", "http://example.org"},
      {"exa mple.org", "http://example.org"},
  };
  for (const auto& [host, origin] : other) {
    EXPECT_FALSE(passes(host, {origin})) << host << ' ' << origin;
    EXPECT_FALSE(passes(host, {origin}, {}, Security::tls)) << host << ' ' << origin;
  }
  EXPECT_FALSE(passes("a", {"http://a", "http://a"})) << "two Origins";
  EXPECT_FALSE(passes("a", {"http://a", "http://b"}));
  EXPECT_FALSE(origin_passes(Request({.fields = std::vector<HeaderField>{{"Origin", "http://a"}}}),
                             {}, Security::plain))
      << "no Host";
}

// The host and the scheme are those that the client used in front of a proxy.
TEST(HandshakeOrigin, BehindAProxyTheSiteIsThatOfTheClient) {
  const auto at = [](std::string_view host, std::string_view origin, Site site) {
    const std::vector<HeaderField> fields{{"Host", "127.0.0.1:9001"}, {"Origin", origin}};
    return origin_passes(Request({.fields = fields, .host = host}), {}, site);
  };
  for (const Security security : {Security::plain, Security::tls, Security::unknown}) {
    for (const bool lacks : {false, true}) {
      SCOPED_TRACE(static_cast<int>(security) * 2 + (lacks ? 1 : 0));
      const Site site(security, lacks);
      EXPECT_EQ(at("a", "http://a", site), security != Security::tls);
      EXPECT_EQ(at("a", "https://a", site), security != Security::plain);
      EXPECT_EQ(at("a", "http://a:81", site), lacks && security != Security::tls);
      EXPECT_EQ(at("a", "https://a:444", site), lacks && security != Security::plain);
      EXPECT_EQ(at("a:81", "http://a:81", site), security != Security::tls);
      EXPECT_EQ(at("a:444", "https://a:444", site), security != Security::plain);
      EXPECT_EQ(at("a:443", "https://a", site), security != Security::plain);
      EXPECT_FALSE(at("a:443", "http://a", site));
      EXPECT_FALSE(at("a:81", "http://a:82", site));
      EXPECT_FALSE(at("a", "http://b", site) || at("a", "https://a.b", site));
      EXPECT_FALSE(at("a", "app://a", site) || at("a", "null", site) || at("a", "", site));
      EXPECT_FALSE(at("", "http://127.0.0.1:9002", site)) << "Host counts, and its port is there";
    }
  }
}

TEST(HandshakeOrigin, AllowedOriginsPass) {
  const std::vector<std::string> allowed{"https://Example.com", "http://b:8080", "app://x", "null",
                                         "not an origin"};
  for (const char* origin : {"https://example.com", "HTTPS://EXAMPLE.COM:443", "http://b:8080",
                             "APP://X", "null", "not an origin", "http://own"}) {
    EXPECT_TRUE(passes("own", {origin}, allowed)) << origin;
  }
  for (const char* origin :
       {"http://example.com", "https://example.com:444", "https://sub.example.com", "http://b",
        "https://b:8080", "app://x:1", "nul", "https://example.com/", ""}) {
    EXPECT_FALSE(passes("own", {origin}, allowed)) << origin;
  }
  EXPECT_TRUE(passes("own", {"https://b"}, {"https://b:443"}));
  EXPECT_TRUE(passes("own", {"http://[::1]:80"}, {"http://[::1]"}));
  EXPECT_FALSE(passes("own", {"https://example.com", "https://example.com"}, allowed));
  for (const char* origin : {"http://anything", "null", "", "%%"}) {
    EXPECT_TRUE(passes("own", {origin}, {"https://x", "*"})) << origin;
  }
  EXPECT_TRUE(passes("own", {"a", "b"}, {"*"}));
  EXPECT_FALSE(passes("own", {"http://sub.x"}, {"http://*.x"})) << "no other wildcards";
}

// Scripts connect to a ws:// URL, but a browser sends the URL of their page.
TEST(HandshakeOrigin, AWebSocketUrlIsNoOrigin) {
  EXPECT_EQ(
      why_no_origin("wss://a.example"),
      "is the URL of a WebSocket, and an origin is that of a page: write \"https://a.example\"");
  EXPECT_EQ(why_no_origin("WS://a:80"),
            "is the URL of a WebSocket, and an origin is that of a page: write \"http://a:80\"");
  EXPECT_EQ(why_no_origin("wsx://a"), "");
}

// Pages from an application's own files send "file://", which has no host.
TEST(HandshakeOrigin, TheOriginOfFilesCanBeListed) {
  EXPECT_EQ(why_no_origin("file://"), "");
  EXPECT_TRUE(passes("own", {"file://"}, {"file://"}));
  EXPECT_FALSE(passes("own", {"file://"}, {"file://x"}));
  EXPECT_NE(why_no_origin("https://"), "");
}

}  // namespace
}  // namespace tern::handshake
