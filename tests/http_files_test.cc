// The rules for files that need no file: which file a path names, its type, its coding, and what
// the conditions and the range of a request mean.
#include "http/accept_encoding.h"
#include "http/conditional.h"
#include "http/content_type.h"
#include "http/date.h"
#include "http/file_path.h"
#include "http/range.h"

#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::http {

static std::ostream& operator<<(std::ostream& out, const RangeChoice& choice) {
  return out << static_cast<int>(choice.kind) << ' ' << choice.first << '+' << choice.length;
}
static std::ostream& operator<<(std::ostream& out, const CodingQualities& qualities) {
  return out << qualities.br << ' ' << qualities.gzip << ' ' << qualities.identity;
}

namespace {

using namespace std::chrono_literals;
using Fields = std::vector<HeaderField>;

// ---- paths

TEST(HttpFilePath, APathNamesAFileInsideOfTheFolder) {
  const std::pair<std::string_view, FilePath> table[] = {
      {"", {"", false}},
      {"/", {"", true}},
      {"/a", {"a", false}},
      {"/a/", {"a", true}},
      {"/a/b.js", {"a/b.js", false}},
      {"/a%20b/c", {"a b/c", false}},
      {"/%61", {"a", false}},
      {"/%C3%A9", {"\xC3\xA9", false}},
      {"/a..b", {"a..b", false}},
      {"/a.", {"a.", false}},
      {"/.well-known/acme", {".well-known/acme", false}},
      {"/~user/a+b", {"~user/a+b", false}},
      {"/%252e%252e/x", {"%2e%2e/x", false}},  // decoded once: a name that is not ".."
      {"/a%253Fb", {"a%3Fb", false}},
  };
  for (const auto& [path, expected] : table) {
    const auto got = file_path(path);
    ASSERT_TRUE(got) << path;
    EXPECT_EQ(got->path, expected.path) << path;
    EXPECT_EQ(got->is_folder, expected.is_folder) << path;
  }
}

TEST(HttpFilePath, APathThatCouldLeadElsewhereNamesNothing) {
  const std::string_view table[] = {"/..",
                                    "/../",
                                    "/../etc/passwd",
                                    "/a/../../b",
                                    "/a/..",
                                    "/.",
                                    "/a/./b",
                                    "/./",
                                    "/%2e%2e/b",
                                    "/%2E%2e",
                                    "/.%2e/b",
                                    "/%2e",
                                    "/a%2f..%2fb",
                                    "/a%2Fb",
                                    "/%2f",
                                    "//",
                                    "//a",
                                    "/a//b",
                                    "/a//",
                                    "///etc/passwd",
                                    "/a\\b",
                                    "/..\\..\\b",
                                    "/a%5cb",
                                    "/%5C..%5Cb",
                                    "/a%00",
                                    "/%00",
                                    "/a%00.js",
                                    "/a%0a",
                                    "/a%0D%0Ab",
                                    "/a%7f",
                                    "/a%1f",
                                    "/.git/config",
                                    "/.env",
                                    "/a/.htaccess",
                                    "/%2egit/config",
                                    "/.well-knownx",
                                    "/a/.%77ell",
                                    "/%",
                                    "/%2",
                                    "/%zz",
                                    "/a%",
                                    "/a%g0",
                                    "/...",
                                    "/. ",
                                    "/%c0%ae%c0%ae/%2e%2e"};
  for (const std::string_view path : table) EXPECT_FALSE(file_path(path)) << path;
}

// No part of a decoded path has a special meaning in the file system.
TEST(HttpFilePath, EveryByteIsRefusedOrStandsForItself) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string path = std::string("/x%") + digits[byte >> 4] + digits[byte & 15] + "y";
    const auto got = file_path(path);
    const bool refused = byte < 0x20 || byte == 0x7F || c == '/' || c == '\\';
    ASSERT_EQ(!got, refused) << byte;
    if (got) {
      EXPECT_EQ(got->path, std::string("x") + c + 'y');
    }
  }
}

TEST(HttpFilePath, PatternsFitWithAnyNumberOfStars) {
  struct Row {
    std::string_view pattern;
    std::string_view text;
    bool fits;
  };
  const Row table[] = {
      {"", "", true},           {"", "a", false},          {"*", "", true},
      {"*", "a/b", true},       {"*.js", "a.js", true},    {"*.js", ".js", true},
      {"*.js", "a.jsx", false}, {"*.js", "a.js.js", true}, {"a*", "a", true},
      {"a*", "ba", false},      {"a*c", "abc", true},      {"a*c", "abcd", false},
      {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},   {"*ab*", "xxabxx", true},
      {"*ab*", "axb", false},   {"**", "x", true},         {"assets/*", "assets/a/b", true},
      {"A.js", "a.js", false},  {"*aab", "aaaab", true},   {"?", "a", false},
  };
  for (const Row& row : table)
    EXPECT_EQ(fits_pattern(row.pattern, row.text), row.fits) << row.pattern << ' ' << row.text;
}

// ---- ranges

using Kind = RangeChoice::Kind;
constexpr RangeChoice whole{};
constexpr RangeChoice no_part{.kind = Kind::unsatisfiable};

constexpr RangeChoice part(std::uint64_t first, std::uint64_t length) {
  return {.kind = Kind::part, .first = first, .length = length};
}

struct RangeRow {
  std::string_view value;
  std::uint64_t size;
  RangeChoice choice;
};

void expect_choices(std::span<const RangeRow> table) {
  for (const RangeRow& row : table)
    EXPECT_EQ(choose_range(row.value, row.size), row.choice) << row.value << ' ' << row.size;
}

TEST(HttpRange, Rfc9110_14_1_2_ChoosesTheBytes) {
  static constexpr RangeRow table[] = {
      {"bytes=0-0", 100, part(0, 1)},
      {"bytes=0-99", 100, part(0, 100)},
      {"bytes=0-100", 100, part(0, 100)},
      {"bytes=0-", 100, part(0, 100)},
      {"bytes=99-", 100, part(99, 1)},
      {"bytes=10-19", 100, part(10, 10)},
      {"bytes=007-008", 100, part(7, 2)},
      {"bytes=-1", 100, part(99, 1)},
      {"bytes=-100", 100, part(0, 100)},
      {"bytes=-101", 100, part(0, 100)},
      {"BYTES=1-2", 100, part(1, 2)},
      {"bytes= 1-2\t", 100, part(1, 2)},
      {"bytes=5-99999999999999999999999", 100, part(5, 95)},
      {"bytes=5-18446744073709551615", 100, part(5, 95)},
      {"bytes=-99999999999999999999999", 100, part(0, 100)},
      {"bytes=4294967296-4294967296", 4294967297, part(4294967296, 1)},
      {"bytes=0-18446744073709551615", 18446744073709551615u, part(0, 18446744073709551615u)},
  };
  expect_choices(table);
}

TEST(HttpRange, Rfc9110_14_2_WhatIsNoPartOfTheFileIsRefusedOrIgnored) {
  static constexpr RangeRow table[] = {
      // behind the end
      {"bytes=100-", 100, no_part},
      {"bytes=100-200", 100, no_part},
      {"bytes=99999999999999999999999-", 100, no_part},
      {"bytes=18446744073709551616-18446744073709551617", 100, no_part},
      {"bytes=-0", 100, no_part},
      {"bytes=0-", 0, no_part},
      {"bytes=0-0", 0, no_part},
      {"bytes=-0", 0, no_part},
      // a part of nothing cannot be named
      {"bytes=-1", 0, whole},
      // several ranges, other units, and texts that are no range: the field is ignored
      {"bytes=0-0,2-2", 100, whole},
      {"bytes=0-0,", 100, whole},
      {"bytes=,0-0", 100, whole},
      {"bytes=200-,0-0", 100, whole},
      {"bytes=2-1", 100, whole},
      {"bytes=200-100", 100, whole},
      {"bytes=", 100, whole},
      {"bytes=-", 100, whole},
      {"bytes=--1", 100, whole},
      {"bytes=1--2", 100, whole},
      {"bytes=1", 100, whole},
      {"bytes=a-b", 100, whole},
      {"bytes=1-b", 100, whole},
      {"bytes=+1-2", 100, whole},
      {"bytes=1 -2", 100, whole},
      {"bytes=0x1-2", 100, whole},
      {"bytes 0-0", 100, whole},
      {"byte=0-0", 100, whole},
      {"lines=0-0", 100, whole},
      {"0-0", 100, whole},
      {"=0-0", 100, whole},
      {"", 100, whole},
  };
  expect_choices(table);
}

TEST(HttpRange, Rfc9110_14_4_NamesThePart) {
  EXPECT_EQ(content_range(choose_range("bytes=10-19", 100), 100), "bytes 10-19/100");
  EXPECT_EQ(content_range(choose_range("bytes=-1", 100), 100), "bytes 99-99/100");
  EXPECT_EQ(content_range(choose_range("bytes=100-", 100), 100), "bytes */100");
}

// ---- conditions

const std::chrono::sys_seconds modified{784'111'777s};  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::string_view same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr std::string_view after = "Sun, 06 Nov 1994 08:49:38 GMT";
const Validators current{.etag = "\"a-1\"", .modified = modified};

Condition check(const Fields& fields) {
  return check_conditions(Request({.method = "GET", .fields = fields}), current);
}

TEST(HttpConditional, Rfc9110_13_1_EachFieldAlone) {
  const auto holds = Condition::holds;
  const auto fresh = Condition::not_modified;
  const auto failed = Condition::failed;
  struct Row {
    std::string_view name;
    std::string_view value;
    Condition expected;
  };
  const Row table[] = {
      {"If-None-Match", "\"a-1\"", fresh},
      {"if-none-match", "W/\"a-1\"", fresh},
      {"If-None-Match", "*", fresh},
      {"If-None-Match", "\"b\", \"a-1\"", fresh},
      {"If-None-Match", " ,, \"b\" ,W/\"a-1\",", fresh},
      {"If-None-Match", "\"b\\\", \"a-1\"", fresh},  // a backslash is a character of a tag
      {"If-None-Match", "\"b\"", holds},
      {"If-None-Match", "\"A-1\"", holds},
      {"If-None-Match", "a-1", holds},
      {"If-None-Match", "\"a-1", holds},
      {"If-None-Match", "w/\"a-1\"", holds},
      {"If-None-Match", "\"b\" \"a-1\"", holds},
      {"If-None-Match", "b, \"a-1\"", holds},  // nothing behind a fault counts
      {"If-None-Match", "\"x y\", \"a-1\"", holds},
      {"If-None-Match", "*, \"a-1\"", holds},
      {"If-None-Match", "", holds},
      {"If-Match", "\"a-1\"", holds},
      {"If-Match", "*", holds},
      {"If-Match", "\"b\",\"a-1\"", holds},
      {"If-Match", "W/\"a-1\"", failed},  // strong comparison
      {"If-Match", "\"b\"", failed},
      {"If-Match", "a-1", failed},
      {"If-Match", "", failed},
      {"If-Modified-Since", same, fresh},
      {"If-Modified-Since", after, fresh},
      {"If-Modified-Since", before, holds},
      {"If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", fresh},
      {"If-Modified-Since", "Sun Nov  6 08:49:37 1994", fresh},
      {"If-Modified-Since", "yesterday", holds},
      {"If-Modified-Since", "", holds},
      {"If-Unmodified-Since", same, holds},
      {"If-Unmodified-Since", after, holds},
      {"If-Unmodified-Since", before, failed},
      {"If-Unmodified-Since", "yesterday", holds},
  };
  for (const Row& row : table)
    EXPECT_EQ(check({{row.name, row.value}}), row.expected) << row.name << ": " << row.value;
  EXPECT_EQ(check({}), holds);
}

TEST(HttpConditional, Rfc9110_13_2_2_TheOrderOfTheFields) {
  const auto holds = Condition::holds;
  const auto fresh = Condition::not_modified;
  const auto failed = Condition::failed;
  // Tags go before dates.
  EXPECT_EQ(check({{"If-None-Match", "\"b\""}, {"If-Modified-Since", after}}), holds);
  EXPECT_EQ(check({{"If-Modified-Since", before}, {"If-None-Match", "\"a-1\""}}), fresh);
  EXPECT_EQ(check({{"If-Match", "\"a-1\""}, {"If-Unmodified-Since", before}}), holds);
  EXPECT_EQ(check({{"If-Match", "\"b\""}, {"If-Unmodified-Since", after}}), failed);
  // A condition that failed goes before one by which the client has the file.
  EXPECT_EQ(check({{"If-None-Match", "\"a-1\""}, {"If-Match", "\"b\""}}), failed);
  EXPECT_EQ(check({{"If-None-Match", "\"a-1\""}, {"If-Match", "\"a-1\""}}), fresh);
  EXPECT_EQ(check({{"If-Unmodified-Since", after}, {"If-Modified-Since", same}}), fresh);
  // A list may have several lines; a date may not.
  EXPECT_EQ(check({{"If-None-Match", "\"b\""}, {"If-None-Match", "\"a-1\""}}), fresh);
  EXPECT_EQ(check({{"If-Modified-Since", same}, {"If-Modified-Since", same}}), holds);
}

TEST(HttpConditional, Rfc9110_13_1_5_IfRangeNamesThisVersion) {
  struct Row {
    Fields fields;
    std::chrono::seconds age;
    bool counts;
  };
  const Row table[] = {
      {{}, 0s, true},
      {{{"If-Range", "\"a-1\""}}, 0s, true},
      {{{"If-Range", "W/\"a-1\""}}, 9s, false},
      {{{"If-Range", "\"b\""}}, 9s, false},
      {{{"If-Range", "\"a-1\", \"b\""}}, 9s, false},
      {{{"If-Range", "*"}}, 9s, false},
      {{{"If-Range", same}}, 2s, true},
      {{{"If-Range", same}}, 1s, false},
      {{{"If-Range", after}}, 9s, false},
      {{{"If-Range", before}}, 9s, false},
      {{{"If-Range", "nonsense"}}, 9s, false},
      {{{"If-Range", ""}}, 9s, false},
      {{{"If-Range", "\"a-1\""}, {"If-Range", "\"a-1\""}}, 9s, false},
  };
  for (const Row& row : table) {
    EXPECT_EQ(range_counts(Request({.fields = row.fields}), current, modified + row.age),
              row.counts)
        << (row.fields.empty() ? "" : row.fields[0].value);
  }
}

// ---- codings

TEST(HttpAcceptEncoding, Rfc9110_12_5_3_ReadsQualities) {
  struct Row {
    std::string_view value;
    CodingQualities expected;
  };
  const Row table[] = {
      {"", {0, 0, 1}},
      {"gzip, deflate, br", {1000, 1000, 1}},
      {"gzip", {0, 1000, 1}},
      {"X-GZIP", {0, 1000, 1}},
      {"br;q=0.5, gzip;q=0.8", {500, 800, 1}},
      {"br;q=1.000,gzip ; q=0.001", {1000, 1, 1}},
      {"br;q=0", {0, 0, 1}},
      {"*", {1000, 1000, 1000}},
      {"*;q=0.3, gzip", {300, 1000, 300}},
      {"*;q=0", {0, 0, 0}},
      {"*;q=0, gzip", {0, 1000, 0}},
      {"*;q=0, identity;q=0.1", {0, 0, 100}},
      {"identity;q=0", {0, 0, 0}},
      {"identity, gzip;q=0.5", {0, 500, 1000}},
      {"br;q=2, gzip", {0, 1000, 1}},
      {"br;q=1.5, gzip;q=1.001", {0, 0, 1}},
      {"br;q=0.1234, gzip;q=.5", {0, 0, 1}},
      {"br;q=, gzip;q=x", {0, 0, 1}},
      {"br;q=1., gzip;q=0.", {1000, 0, 1}},
      {"br;Q=0.2", {200, 0, 1}},
      {"br;level=5", {1000, 0, 1}},
      {"brx, xgzip", {0, 0, 1}},
      {";q=1, gzip", {0, 1000, 1}},
      {"gzip;q=0.5;q=0.7", {0, 700, 1}},
  };
  for (const Row& row : table) {
    const Fields fields{{"Accept-Encoding", row.value}};
    EXPECT_EQ(read_accept_encoding(fields), row.expected) << row.value;
  }
  EXPECT_EQ(read_accept_encoding({}), (CodingQualities{0, 0, 1000})) << "no field";
  const Fields lines{{"accept-encoding", "gzip"}, {"Accept-Encoding", "br;q=0.5"}};
  EXPECT_EQ(read_accept_encoding(lines), (CodingQualities{500, 1000, 1}));
}

TEST(HttpAcceptEncoding, ACodingIsPreferredIfItIsWantedAsMuchAsThePlainFile) {
  const CodingQualities qualities{.br = 500, .gzip = 800, .identity = 600};
  EXPECT_FALSE(qualities.prefers(Coding::br));
  EXPECT_TRUE(qualities.prefers(Coding::gzip));
  const CodingQualities refused{.br = 0, .gzip = 0, .identity = 0};
  EXPECT_FALSE(refused.prefers(Coding::br));
}

// ---- types

TEST(HttpContentType, TheExtensionDecides) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"index.html", "text/html; charset=utf-8"},
      {"a/b.JS", "text/javascript; charset=utf-8"},
      {"style.min.css", "text/css; charset=utf-8"},
      {"data.json", "application/json"},
      {"icon.svg", "image/svg+xml"},
      {"module.wasm", "application/wasm"},
      {"font.woff2", "font/woff2"},
      {"archive.tar.gz", "application/gzip"},
      {"README", "application/octet-stream"},
      {"a.unknown", "application/octet-stream"},
      {"a.", "application/octet-stream"},
      {"html", "application/octet-stream"},
      {"dir.html/file", "application/octet-stream"},
      {"", "application/octet-stream"},
  };
  for (const auto& [name, type] : table) EXPECT_EQ(content_type_of(name), type) << name;
}

}  // namespace
}  // namespace tern::http
