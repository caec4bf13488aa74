// parse_url, RFC 6455 §3: each text stands against a guard page.
#include "http/url.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>

namespace tern::http {
namespace {

// Returns "scheme host port target host_header", or the message of the error.
std::string parse(std::string_view text) {
  const test::GuardPage page(text);
  const Result<Url> url = parse_url(page.text());
  if (!url) return url.error().message();
  return (url->secure ? "wss " : "ws ") + url->host + ' ' + std::to_string(url->port) + ' ' +
         url->target + ' ' + url->host_header();
}

TEST(HttpUrl, Rfc6455_3_AcceptsWebSocketUrls) {
  EXPECT_EQ(parse("ws://example.org"), "ws example.org 80 / example.org");
  EXPECT_EQ(parse("wss://example.org/"), "wss example.org 443 / example.org");
  EXPECT_EQ(parse("WS://Example.ORG/Chat"), "ws Example.ORG 80 /Chat Example.ORG");
  EXPECT_EQ(parse("wSs://a:444/b?c=d&e=/f?g"), "wss a 444 /b?c=d&e=/f?g a:444");
  EXPECT_EQ(parse("ws://a?x=1"), "ws a 80 /?x=1 a");
  EXPECT_EQ(parse("ws://a/?"), "ws a 80 /? a");
  EXPECT_EQ(parse("ws://a:80/"), "ws a 80 / a");
  EXPECT_EQ(parse("wss://a:443/"), "wss a 443 / a");
  EXPECT_EQ(parse("ws://a:443/"), "ws a 443 / a:443");
  EXPECT_EQ(parse("wss://a:80/"), "wss a 80 / a:80");
  EXPECT_EQ(parse("ws://a:/"), "ws a 80 / a");
  EXPECT_EQ(parse("ws://a:1"), "ws a 1 / a:1");
  EXPECT_EQ(parse("ws://a:65535"), "ws a 65535 / a:65535");
  EXPECT_EQ(parse("ws://[::1]:9001/x"), "ws ::1 9001 /x [::1]:9001");
  EXPECT_EQ(parse("wss://[2001:DB8::7]"), "wss 2001:DB8::7 443 / [2001:DB8::7]");
  EXPECT_EQ(parse("ws://127.0.0.1:9001//a//b"), "ws 127.0.0.1 9001 //a//b 127.0.0.1:9001");
  EXPECT_EQ(parse("ws://a/%20%zz|{}\"@:"), "ws a 80 /%20%zz|{}\"@: a");
}

TEST(HttpUrl, AcceptsUrlsOfUnixSockets) {
  const struct {
    const char* url;
    bool secure;
    std::string path;
    const char* target;
  } rows[] = {
      {"ws+unix:///run/app.sock", false, "/run/app.sock", "/"},
      {"ws+unix:/run/app.sock:/chat?a=b:c", false, "/run/app.sock", "/chat?a=b:c"},
      {"WSS+UNIX:///run/app.sock:", true, "/run/app.sock", "/"},
      {"ws+unix:///run/a%3Ab%3F%20c:?x", false, "/run/a:b? c", "/?x"},
      {"ws+unix://app.sock:/", false, "app.sock", "/"},
      {"ws+unix://@name:/x", false, "@name", "/x"},
      {"ws+unix://%00name:/x", false, std::string("\0name", 5), "/x"},
  };
  for (const auto& row : rows) {
    const auto url = parse_url(row.url);
    ASSERT_TRUE(url) << row.url << ": " << url.error().message();
    EXPECT_EQ(url->secure, row.secure) << row.url;
    EXPECT_EQ(url->unix_path, row.path) << row.url;
    EXPECT_EQ(url->target, row.target) << row.url;
    EXPECT_EQ(url->host_header(), "localhost") << row.url;
  }
}

TEST(HttpUrl, RefusesMalformedUrlsOfUnixSockets) {
  for (const std::string& url :
       {std::string("ws+unix:"), std::string("ws+unix://"), std::string("ws+unix://:/x"),
        std::string("ws+unix:///a?b"), std::string("ws+unix:///a%zz"),
        std::string("ws+unix:///a b"), std::string("ws+unix:///a%00b"),
        std::string("ws+unix:///a:x"), std::string("ws+unix:///a:/b#c"),
        "ws+unix:///" + std::string(107, 'a')}) {
    EXPECT_FALSE(parse_url(url)) << url;
  }
}

TEST(HttpUrl, Rfc6455_3_ErrorSaysWhyAUrlIsRefused) {
  const std::string end = ": not a valid ws:// or wss:// URL";
  const std::string scheme = "the URL does not begin with ws:// or wss://" + end;
  for (const char* text : {"", "ws", "ws:", "ws:/", "ws:/a", "http://a", "https://a", "a", "//a",
                           " ws://a", "wsx://a", "wss:/a", "ws;//a"}) {
    EXPECT_EQ(parse(text), scheme) << text;
  }
  for (const char* text : {"ws://a/#", "ws://a#b", "ws://a/?b#c", "ws://#"}) {
    EXPECT_EQ(parse(text), "the URL has a fragment" + end) << text;
  }
  for (const char* text : {"ws://a b", "ws://a/b c", "ws://a/\t", "ws://a\r\nX: y", "ws://a/\x7F",
                           "ws://\xC3\xA4/", "ws://a/\x80", "ws://a "}) {
    EXPECT_EQ(parse(text),
              "the URL has a space, a control character or a character outside of ASCII" + end)
        << text;
  }
  EXPECT_EQ(parse(std::string_view("ws://a/\0", 8)),
            "the URL has a space, a control character or a character outside of ASCII" + end);
  for (const char* text : {"ws://u@a", "ws://u:p@a/", "ws://@a", "ws://a@b@c"}) {
    EXPECT_EQ(parse(text), "the URL has user information" + end) << text;
  }
  for (const char* text :
       {"ws://", "ws:///", "ws://?a", "ws://:80", "ws://a:65536", "ws://a:x", "ws://a:80:80",
        "ws://::1", "ws://[::1", "ws://[::g]", "ws://[::1%25eth0]", "ws://a%41", "ws://a\\b",
        "ws://a<b", "ws://a:-1"}) {
    EXPECT_EQ(parse(text), "the URL's host or port is malformed" + end) << text;
  }
  EXPECT_EQ(parse("ws://a:0"), "the URL's port is 0" + end);
}

TEST(HttpUrl, ErrorsDoNotContainSecrets) {
  const Result<Url> url = parse_url("ws://user:secret@a/?token=secret");
  ASSERT_FALSE(url);
  EXPECT_EQ(url.error().code(), Errc::url_invalid);
  EXPECT_EQ(url.error().message().find("secret"), std::string::npos);
}

}  // namespace
}  // namespace tern::http
