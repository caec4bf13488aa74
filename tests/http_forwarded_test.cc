// The fields of proxies: lists from their end, nodes, and the elements of Forwarded (RFC 7239).
#include "http/forwarded.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern::http {
namespace {

using Commas = LastElements::Commas;
using Lines = std::vector<std::string>;
using test::GuardPage;

Lines elements(const Lines& lines, Commas commas) {
  std::vector<HeaderField> fields{{"Other", "x, y"}};
  std::vector<std::unique_ptr<GuardPage>> kept;
  for (const std::string& line : lines) {
    kept.push_back(std::make_unique<GuardPage>(line));
    fields.push_back({"x-LIST", kept.back()->text()});
    fields.push_back({"X-List-2", "z"});
  }
  LastElements list(fields, "X-List", commas);
  Lines found;
  while (const auto element = list.next()) found.emplace_back(*element);
  EXPECT_FALSE(list.next());
  return found;
}

TEST(HttpForwarded, AListIsReadFromItsEnd) {
  const struct {
    Lines lines;
    Lines separate;
    Lines quoted;
  } rows[] = {
      {{}, {}, {}},
      {{""}, {}, {}},
      {{","}, {}, {}},
      {{" , ,\t, "}, {}, {}},
      {{"a"}, {"a"}, {"a"}},
      {{"a,b"}, {"b", "a"}, {"b", "a"}},
      {{" a \t,, b c , "}, {"b c", "a"}, {"b c", "a"}},
      {{"a, b", "", "c,d"}, {"d", "c", "b", "a"}, {"d", "c", "b", "a"}},
      {{R"(a="x,y",b)"}, {"b", "y\"", "a=\"x"}, {"b", R"(a="x,y")"}},
      {{R"(a="x\",y",b="\\")"}, {R"(b="\\")", "y\"", R"(a="x\")"}, {R"(b="\\")", R"(a="x\",y")"}},
      {{R"(a=",",b=",")"}, {"\"", "b=\"", "\"", "a=\""}, {R"(b=",")", R"(a=",")"}},
      // Text that an attacker wrote before the elements of proxies does not swallow them.
      {{R"(a=", b)"}, {"b", "a=\""}, {"b", "a=\""}},
      {{R"(", b="c,d")"}, {"d\"", "b=\"c", "\""}, {R"(b="c,d")", "\""}},
      {{R"(a="\, b="c")"}, {R"(b="c")", R"(a="\)"}, {R"(b="c")", R"(a="\)"}},
      {{R"(a", b")"}, {"b\"", "a\""}, {R"(a", b")"}},  // not an element that a proxy writes
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.lines));
    EXPECT_EQ(elements(row.lines, Commas::separate), row.separate);
    EXPECT_EQ(elements(row.lines, Commas::quoted), row.quoted);
  }
}

TEST(HttpForwarded, AListOfQuotedPairsIsReadWhole) {
  std::string line;
  for (int i = 0; i < 3'000; ++i) line += R"("\"",)";
  EXPECT_EQ(elements({line}, Commas::quoted).size(), 3'000u);
  EXPECT_EQ(elements({std::string(15'000, '\\') + '"'}, Commas::quoted).size(), 1u);
}

std::string node(std::string_view text) {
  const GuardPage page(text);
  const auto parsed = parse_node(page.text());
  if (!parsed) return "none";
  const char* const kinds[] = {"address ", "unix ", "hidden "};
  std::string shown = kinds[static_cast<int>(parsed->kind)] + std::string(parsed->host);
  if (parsed->port) shown += " port " + std::to_string(*parsed->port);
  return shown;
}

TEST(HttpForwarded, Rfc7239_6_Nodes) {
  const std::pair<const char*, const char*> rows[] = {
      {"192.0.2.43", "address 192.0.2.43"},
      {"192.0.2.43:47011", "address 192.0.2.43 port 47011"},
      {"192.0.2.43:0", "address 192.0.2.43 port 0"},
      {"192.0.2.43:65535", "address 192.0.2.43 port 65535"},
      {"192.0.2.43:00080", "address 192.0.2.43 port 80"},
      {"192.0.2.43:_p", "address 192.0.2.43"},
      {"[2001:db8:cafe::17]", "address 2001:db8:cafe::17"},
      {"[2001:db8:cafe::17]:4711", "address 2001:db8:cafe::17 port 4711"},
      {"[::ffff:192.0.2.1]:_a-b.c_D9", "address ::ffff:192.0.2.1"},
      {"2001:db8::17", "address 2001:db8::17"},
      {"::1", "address ::1"},
      {"unknown", "hidden unknown"},
      {"UnKnown", "hidden UnKnown"},
      {"unknown:80", "hidden unknown port 80"},
      {"_hidden", "hidden _hidden"},
      {"_SEVKISEK", "hidden _SEVKISEK"},
      {"_a.b_c-D:80", "hidden _a.b_c-D port 80"},
      {"unix:", "unix "},
  };
  for (const auto& [text, shown] : rows) EXPECT_EQ(node(text), shown) << text;
}

TEST(HttpForwarded, Rfc7239_6_AnythingElseIsNoNode) {
  for (const char* text : {"",
                           " ",
                           "192.0.2",
                           "192.0.2.256",
                           "192.0.2.043",
                           "192.0.2.1 ",
                           " 192.0.2.1",
                           "192.0.2.1:",
                           "192.0.2.1:65536",
                           "192.0.2.1:100000",
                           "192.0.2.1:8x",
                           "192.0.2.1:-1",
                           "192.0.2.1:_",
                           "192.0.2.1:80:80",
                           "[192.0.2.1]",
                           "[::1",
                           "[::1]x",
                           "[::1]:",
                           "[]",
                           "[",
                           "]",
                           "::1]",
                           "fe80::1%eth0",
                           "[fe80::1%25eth0]:80",
                           "example.org",
                           "localhost",
                           "_",
                           "_a b",
                           "_a\"",
                           "-",
                           "\"192.0.2.1\"",
                           "unix:/run/x",
                           "unix",
                           "127.1",
                           "0x7f.0.0.1",
                           "2001:db8::7:::1"}) {
    EXPECT_EQ(node(text), "none") << text;
  }
  EXPECT_EQ(node(std::string("192.0.2.1\0", 10)), "none");
}

std::string element(std::string_view text) {
  const GuardPage page(text);
  const auto parsed = parse_forwarded(page.text());
  return parsed ? '[' + parsed->node + '|' + parsed->proto + '|' + parsed->host + ']' : "none";
}

TEST(HttpForwarded, Rfc7239_4_Elements) {
  const std::pair<const char*, const char*> rows[] = {
      {"for=192.0.2.43", "[192.0.2.43||]"},
      {R"(for="_gazonk")", "[_gazonk||]"},
      {R"(For="[2001:db8:cafe::17]:4711")", "[[2001:db8:cafe::17]:4711||]"},
      {"for=192.0.2.60;proto=http;by=203.0.113.43", "[192.0.2.60|http|]"},
      {R"(FOR=a;PROTO=https;HOST="example.org:8443";BY=b)", "[a|https|example.org:8443]"},
      {R"(host="a\"b\\c")", R"([||a"b\c])"},
      {"for=a ; proto=b\t;\thost=c", "[a|b|c]"},
      {";", "[||]"},
      {";;for=a;;", "[a||]"},
      {"secret=x;for=a;secret=y", "[a||]"},
      {R"(for="a,b;c=d")", "[a,b;c=d||]"},
  };
  for (const auto& [text, shown] : rows) EXPECT_EQ(element(text), shown) << text;
  for (const char* text : {"for",
                           "for=",
                           R"(for="")",
                           "=a",
                           "for =a",
                           "for= a",
                           "for=a b",
                           "for=a=b",
                           R"(for="a)",
                           R"(for="a\)",
                           R"(for="a"b)",
                           R"(for=a"b")",
                           "for=[::1]",
                           "for=192.0.2.1:80",
                           "for=a;for=b",
                           "for=a;FOR=a",
                           "proto=a;proto=a",
                           "host=a;host=b",
                           "by=a;by=b",
                           "f or=a",
                           "for=a;b",
                           R"("for"=a)"}) {
    EXPECT_EQ(element(text), "none") << text;
  }
}

}  // namespace
}  // namespace tern::http
