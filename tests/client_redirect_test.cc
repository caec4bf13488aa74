// Redirects of a client as pure functions: which status redirects, the URL that a Location leads
// to, and which fields may go to another origin.
#include "client/redirect.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace {

using tern::Errc;
using tern::client::fields_for_other_origin;
using tern::client::follow;
using tern::client::is_redirect;
using tern::client::is_same_origin;
using tern::http::parse_url;

std::string text_of(const tern::http::Url& url) {
  return (url.secure ? "wss://" : "ws://") + url.host_header() + url.target;
}

// Returns the URL that the Location leads to, or the reason of the refusal.
std::string followed(std::string_view from, std::string_view location) {
  const auto to = follow(*parse_url(from), location);
  return to ? text_of(*to) : to.error().message();
}

TEST(Redirect, Rfc9110_15_4_FiveStatusesRedirect) {
  for (const int status : {301, 302, 303, 307, 308}) EXPECT_TRUE(is_redirect(status)) << status;
  for (const int status : {101, 200, 300, 304, 305, 306, 309, 401, 503}) {
    EXPECT_FALSE(is_redirect(status)) << status;
  }
}

// The examples of RFC 3986 §5.4 whose result is a target of HTTP.
TEST(Redirect, Rfc3986_5_4_ResolvesReferences) {
  const struct {
    const char* reference;
    const char* target;
  } rows[] = {
      {"g", "/b/c/g"},
      {"./g", "/b/c/g"},
      {"g/", "/b/c/g/"},
      {"/g", "/g"},
      {"?y", "/b/c/d;p?y"},
      {"g?y", "/b/c/g?y"},
      {"#s", "/b/c/d;p?q"},
      {"g#s", "/b/c/g"},
      {"g?y#s", "/b/c/g?y"},
      {";x", "/b/c/;x"},
      {"g;x", "/b/c/g;x"},
      {".", "/b/c/"},
      {"./", "/b/c/"},
      {"..", "/b/"},
      {"../", "/b/"},
      {"../g", "/b/g"},
      {"../..", "/"},
      {"../../", "/"},
      {"../../g", "/g"},
      {"../../../g", "/g"},
      {"../../../../g", "/g"},
      {"/./g", "/g"},
      {"/../g", "/g"},
      {"g.", "/b/c/g."},
      {".g", "/b/c/.g"},
      {"g..", "/b/c/g.."},
      {"..g", "/b/c/..g"},
      {"./../g", "/b/g"},
      {"./g/.", "/b/c/g/"},
      {"g/./h", "/b/c/g/h"},
      {"g/../h", "/b/c/h"},
      {"g;x=1/./y", "/b/c/g;x=1/y"},
      {"g;x=1/../y", "/b/c/y"},
      {"g?y/./x", "/b/c/g?y/./x"},
      {"g?y/../x", "/b/c/g?y/../x"},
      {"/next?to=http://x", "/next?to=http://x"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(followed("ws://a/b/c/d;p?q", row.reference), std::string("ws://a") + row.target)
        << row.reference;
  }
}

TEST(Redirect, FollowsToAnotherHostAndScheme) {
  EXPECT_EQ(followed("ws://a:9001/x", "//b/y"), "ws://b/y");
  EXPECT_EQ(followed("ws://a:9001/x", "/y"), "ws://a:9001/y");
  EXPECT_EQ(followed("ws://a/x", "http://b:81"), "ws://b:81/");
  EXPECT_EQ(followed("ws://a/x", "https://b/y?z"), "wss://b/y?z");
  EXPECT_EQ(followed("ws://a/x", "HTTPS://b/"), "wss://b/");
  EXPECT_EQ(followed("wss://a/x", "wss://b:444/y"), "wss://b:444/y");
  EXPECT_EQ(followed("wss://[::1]:9001/x", "y"), "wss://[::1]:9001/y");
}

TEST(Redirect, RefusesAWayBackToPlainText) {
  EXPECT_EQ(followed("wss://a/x", "ws://a/x"), "redirect: it leads from wss:// to ws://");
  EXPECT_EQ(followed("wss://a/x", "http://a/x"), "redirect: it leads from wss:// to ws://");
}

TEST(Redirect, RefusesUrlsThatDialRefuses) {
  for (const std::string_view location :
       {"", "ftp://a/", "javascript:alert(1)", "mailto:a@b", "ws:", "http:", "http:/x", "http://",
        "http://user:secret@b/", "http://b:0/", "http://b:99999/", "http://a b/", "/a b",
        "/\r\nX: y", "/\xC3\xA9"}) {
    const auto to = follow(*parse_url("ws://a/x"), location);
    ASSERT_FALSE(to) << location;
    EXPECT_EQ(to.error().code(), Errc::redirect_refused) << location;
    EXPECT_EQ(to.error().message().find("secret"), std::string::npos);
  }
}

TEST(Redirect, Rfc6454_5_AnOriginIsSchemeHostAndPort) {
  const auto same = [](std::string_view a, std::string_view b) {
    return is_same_origin(*parse_url(a), *parse_url(b));
  };
  EXPECT_TRUE(same("ws://a/x", "ws://A:80/y?z"));
  EXPECT_TRUE(same("wss://a:443/", "wss://a/"));
  EXPECT_FALSE(same("ws://a/", "wss://a:80/"));
  EXPECT_FALSE(same("ws://a/", "ws://a:81/"));
  EXPECT_FALSE(same("ws://a/", "ws://b/"));
}

TEST(Redirect, NoSecretGoesToAnotherOrigin) {
  const std::vector<std::pair<std::string, std::string>> fields{
      {"Authorization", "Bearer x"}, {"cookie", "x"},        {"X-API-Key", "x"},
      {"origin", "https://a"},       {"User-Agent", "tern"}, {"Proxy-Authorization", "x"}};
  const auto kept = fields_for_other_origin(fields);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].first, "origin");
  EXPECT_EQ(kept[1].first, "User-Agent");
}

}  // namespace
