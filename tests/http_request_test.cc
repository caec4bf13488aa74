// Request: its path, query, cookies and header fields.
#include "tern/http.h"

#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern {
namespace {

Request with_target(std::string_view target) { return Request({.target = target}); }

TEST(HttpRequest, IsEmptyByDefault) {
  const Request request;
  EXPECT_EQ(request.method(), "");
  EXPECT_EQ(request.target(), "");
  EXPECT_EQ(request.path(), "");
  EXPECT_EQ(request.query("a"), "");
  EXPECT_EQ(request.cookie("a"), "");
  EXPECT_TRUE(request.headers().empty());
}

TEST(HttpRequest, Rfc9112_3_2_1_PathEndsAtTheFirstQuestionMark) {
  EXPECT_EQ(with_target("/").path(), "/");
  EXPECT_EQ(with_target("/a/b%20c").path(), "/a/b%20c");
  EXPECT_EQ(with_target("/a?b?c").path(), "/a");
  EXPECT_EQ(with_target("/?").path(), "/");
}

TEST(HttpRequest, ParametersArePercentDecoded) {
  const PathParameter parameters[] = {
      {"a", "x+y%20z%2F%00"}, {"b", "%"}, {"c", "%4g%%41"}, {"d", "%c3%A9"}, {"e", "a/b%2fc/"}};
  const Request request({.target = "/?a=query", .parameters = parameters});
  const std::pair<std::string_view, std::string> cases[] = {{"a", std::string("x+y z/\0", 7)},
                                                            {"b", "%"},
                                                            {"c", "%4g%A"},
                                                            {"d", "\xC3\xA9"},
                                                            {"e", "a/b/c/"},
                                                            {"A", ""},
                                                            {"", ""},
                                                            {"f", ""}};
  for (const auto& [name, expected] : cases) EXPECT_EQ(request.parameter(name), expected) << name;
  EXPECT_EQ(request.parameters().size(), 5u);
  EXPECT_EQ(Request().parameter("a"), "");
}

TEST(HttpRequest, QueryIsPercentDecoded) {
  struct Case {
    const char* target;
    const char* name;
    std::string expected;
  };
  const std::vector<Case> cases{
      {"/", "a", ""},
      {"/?", "a", ""},
      {"/?a", "a", ""},
      {"/?a=", "a", ""},
      {"/?a=1", "a", "1"},
      {"/?a=1&b=2", "b", "2"},
      {"/?b=2&a=1&a=3", "a", "1"},
      {"/?aa=1&a=2", "a", "2"},
      {"/?a=b=c", "a", "b=c"},
      {"/?a=b?c", "a", "b?c"},
      {"/?&&a=1&", "a", "1"},
      {"/?a=x+y%20z%2B", "a", "x y z+"},
      {"/?a=%c3%A9", "a", "\xC3\xA9"},
      {"/?a=%00", "a", std::string(1, '\0')},
      {"/?%61%2b=1", "a+", "1"},
      {"/?A=1", "a", ""},
      {"/?=1", "", "1"},
      // A '%' without two hexadecimal digits stays as it is.
      {"/?a=%", "a", "%"},
      {"/?a=%4", "a", "%4"},
      {"/?a=%4g%g4", "a", "%4g%g4"},
      {"/?a=%%41", "a", "%A"},
      {"/a=1", "a", ""},
  };
  for (const Case& c : cases) {
    const test::GuardPage page(c.target);
    EXPECT_EQ(with_target(page.text()).query(c.name), c.expected) << c.target;
  }
}

TEST(HttpRequest, Rfc6265_5_4_FindsCookiesByName) {
  struct Case {
    std::string_view line;
    const char* name;
    const char* expected;
  };
  const std::vector<Case> cases{
      {"a=1", "a", "1"},
      {"a=1; b=2", "b", "2"},
      {"a=1;b=2", "b", "2"},
      {"aa=1; a=2", "a", "2"},
      {"a=1; a=2", "a", "1"},
      {"a=b=c; d=e", "a", "b=c"},
      {" a = 1 ; b=2", "a", "1"},
      {"a=\"1 2\"", "a", "1 2"},
      {"a=\"", "a", "\""},
      {"a=\"\"", "a", ""},
      {"a=\"1", "a", "\"1"},
      {"A=1", "a", ""},
      {"a", "a", ""},
      {";;a=1;", "a", "1"},
      {"=1", "", ""},
      {"", "a", ""},
  };
  for (const Case& c : cases) {
    const test::GuardPage page(c.line);
    const std::vector<HeaderField> fields{{"X", "a=9"}, {"cookie", page.text()}};
    EXPECT_EQ(Request({.fields = fields}).cookie(c.name), c.expected) << c.line;
  }
  const std::vector<HeaderField> two{{"Cookie", "a=1"}, {"Cookie", "b=2"}};
  EXPECT_EQ(Request({.fields = two}).cookie("b"), "2");
}

TEST(HttpRequest, Rfc9110_5_1_FindsHeadersInAnyCase) {
  const std::vector<HeaderField> fields{{"Host", "a"}, {"X", ""}, {"x", "second"}};
  const Request request({.method = "GET", .fields = fields, .remote_address = "192.0.2.7:1"});
  EXPECT_EQ(request.header("hOST"), "a");
  EXPECT_EQ(request.header("x"), "");
  EXPECT_TRUE(request.has_header("X"));
  EXPECT_FALSE(request.has_header("Y"));
  EXPECT_EQ(request.headers().size(), 3U);
  EXPECT_EQ(request.remote_address(), "192.0.2.7:1");
  EXPECT_EQ((ResponseHead{.fields = fields}.header("HOST")), "a");
  EXPECT_EQ(ResponseHead().header("HOST"), "");
}

}  // namespace
}  // namespace tern
