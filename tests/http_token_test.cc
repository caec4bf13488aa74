// Tokens, field values, lists and parameters, RFC 9110 §5.
#include "http/token.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::http {
namespace {

using Fields = std::vector<HeaderField>;

std::vector<std::string> elements(const Fields& fields, bool& malformed) {
  std::vector<std::string> all;
  ListReader list(fields, "List");
  while (const auto element = list.next()) all.emplace_back(*element);
  malformed = list.malformed();
  EXPECT_FALSE(list.next()) << "next() returns nothing again";
  return all;
}

// Returns "name;a=1;b" as "name|a=1|b"; the text of a malformed element ends in "!".
std::string read_parameters(std::string_view element) {
  ParameterReader reader(element);
  std::string text(reader.name());
  while (const auto parameter = reader.next()) {
    text.append("|").append(parameter->name);
    if (parameter->has_value) text.append("=").append(parameter->value);
  }
  EXPECT_FALSE(reader.next());
  if (reader.malformed()) text += '!';
  return text;
}

TEST(HttpToken, Rfc9110_5_6_2_TokenHasOnlyItsCharacters) {
  const std::string allowed =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    EXPECT_EQ(is_token(std::string(1, c)), allowed.find(c) != std::string::npos) << i;
  }
  EXPECT_TRUE(is_token(allowed));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
}

TEST(HttpToken, Rfc9110_5_5_FieldValueHasNoControlsButTab) {
  for (int i = 0; i < 256; ++i) {
    const bool expected = i == '\t' || (i >= 0x20 && i != 0x7F);
    EXPECT_EQ(is_field_value(std::string("a") + static_cast<char>(i)), expected) << i;
  }
  EXPECT_TRUE(is_field_value(""));
}

TEST(HttpToken, Rfc9112_3_2_1_RecognizesOriginForm) {
  for (int i = 0; i < 256; ++i) {
    const bool expected = i > 0x20 && i < 0x7F && i != '#';
    EXPECT_EQ(is_origin_form(std::string("/") + static_cast<char>(i)), expected) << i;
  }
  EXPECT_TRUE(is_origin_form("/"));
  for (const char* text : {"", "*", "a", "http://a/", "?x", "a:80"}) {
    EXPECT_FALSE(is_origin_form(text)) << text;
  }
}

TEST(HttpToken, Rfc9110_5_1_NamesCompareWithoutCase) {
  EXPECT_TRUE(iequals("Sec-WebSocket-KEY", "sEC-wEBsOCKET-key"));
  EXPECT_TRUE(iequals("", ""));
  EXPECT_FALSE(iequals("a", "ab"));
  // Bytes outside of ASCII differ. So do other characters that differ only in the bit that the
  // cases of letters differ in.
  EXPECT_FALSE(iequals("\xC4", "\xE4"));
  EXPECT_FALSE(iequals("@[", "`{"));
  EXPECT_FALSE(iequals("\r", "-"));
}

TEST(HttpToken, Rfc9110_5_6_3_TrimRemovesSpacesAndTabs) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim("\t \t"), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("\va\v"), "\va\v");
}

TEST(HttpToken, FindReturnsTheFirstAndCountCountsAll) {
  const Fields fields{{"A", "1"}, {"b", "2"}, {"a", "3"}};
  EXPECT_EQ(find(fields, "a"), "1");
  EXPECT_EQ(find(fields, "B"), "2");
  EXPECT_EQ(find(fields, "c"), "");
  EXPECT_EQ(count(fields, "a"), 2U);
  EXPECT_EQ(count(fields, "c"), 0U);
}

TEST(HttpToken, Rfc9110_5_6_1_ReadsListsOverAllLines) {
  struct Case {
    std::vector<std::string> lines;
    std::vector<std::string> expected;
    bool malformed = false;
  };
  const std::vector<Case> cases{
      {{}, {}},
      {{""}, {}},
      {{",, ,\t,"}, {}},
      {{"a"}, {"a"}},
      {{"a,b"}, {"a", "b"}},
      {{" a ,\tb\t, "}, {"a", "b"}},
      {{"a", "", "b, c"}, {"a", "b", "c"}},
      {{",a,,b,"}, {"a", "b"}},
      {{"a b, c"}, {"a b", "c"}},
      {{"a;x=\"1,2\", b"}, {"a;x=\"1,2\"", "b"}},
      {{R"(a;x="\",", b)"}, {R"(a;x="\",")", "b"}},
      {{R"(a;x="\\", b)"}, {R"(a;x="\\")", "b"}},
      {{R"(a\,b)"}, {"a\\", "b"}},
      {{"a, \"b"}, {"a"}, true},
      {{"\"a", "b\""}, {}, true},  // a quoted-string ends on its line
      {{R"("a\)"}, {}, true},
      {{R"("a\")"}, {}, true},
  };
  for (const Case& c : cases) {
    Fields fields{{"Other", "z"}};
    for (std::size_t i = 0; i < c.lines.size(); ++i) {
      fields.push_back({i % 2 ? "LIST" : "list", c.lines[i]});
      fields.push_back({"Lis", "z"});
    }
    bool malformed = false;
    EXPECT_EQ(elements(fields, malformed), c.expected) << testing::PrintToString(c.lines);
    EXPECT_EQ(malformed, c.malformed) << testing::PrintToString(c.lines);
  }
}

TEST(HttpToken, ListContainsComparesWholeElementsInAnyCase) {
  const Fields fields{{"Connection", "keep-alive, Foo"}, {"connection", " x ,UPGRADE"}};
  EXPECT_TRUE(list_contains(fields, "Connection", "upgrade"));
  EXPECT_TRUE(list_contains(fields, "Connection", "keep-alive"));
  EXPECT_FALSE(list_contains(fields, "Connection", "keep"));
  EXPECT_FALSE(list_contains(fields, "Upgrade", "upgrade"));
  EXPECT_FALSE(list_contains(Fields{{"Connection", "\"x, upgrade\""}}, "Connection", "upgrade"));
  EXPECT_FALSE(list_contains(Fields{{"Connection", "upgrade, \"x"}}, "Connection", "upgrade"));
  EXPECT_FALSE(list_contains(Fields{{"Connection", "upgrade x"}}, "Connection", "upgrade"));
}

TEST(HttpToken, Rfc6455_9_1_ReadsParameters) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"permessage-deflate", "permessage-deflate"},
      {"a;b", "a|b"},
      {"a; b=1 ;c", "a|b=1|c"},
      {"a\t;\tb = 1", "a|b=1"},
      {"a;b=\"10\"", "a|b=10"},
      {R"(a;b="1\0";c)", R"(a|b=1\0|c)"},
      {"", "!"},
      {" a", "!"},
      {";a", "!"},
      {"a;", "a!"},
      {"a;;b", "a!"},
      {"a b", "a!"},
      {"a;b c", "a|b!"},
      {"a;b=", "a!"},
      {"a;=1", "a!"},
      {"a;b=1 2", "a|b=1!"},
      {"a;b=\"\"", "a!"},
      {"a;b=\"1", "a!"},
      {"a;b=\"1 2\"", "a!"},
      {R"(a;b="1\)", "a!"},
      {R"(a;b="1\ ")", "a!"},
      {R"(a;b="\"")", "a!"},
      {"a;b=\"1\"2", "a|b=1!"},
      {"a=1", "a!"},
      {"\x80", "!"},
  };
  for (const auto& [element, expected] : cases) {
    const test::GuardPage page(element);
    EXPECT_EQ(read_parameters(page.text()), expected) << element;
  }
}

TEST(HttpToken, ReadersStopAtTheLastByte) {
  for (const char* value : {"a", "a,", "\"", "\"\\", "a,\"b\"", "a;b=\"\\"}) {
    const test::GuardPage page(value);
    bool malformed = false;
    elements({{"List", page.text()}}, malformed);
    ParameterReader reader(page.text());
    while (reader.next()) {
    }
    trim(page.text());
  }
}

}  // namespace
}  // namespace tern::http
