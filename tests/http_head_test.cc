// HeadParser, RFC 9112 §2-§5. The tables run whole, cut at every byte, and byte by byte; each piece
// stands against a guard page.
#include "http/head.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::http {
namespace {

using Kind = HeadParser::Kind;
using Status = HeadParser::Status;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string name_of(Errc errc) {
  switch (errc) {
    case Errc::http_malformed:
      return "malformed";
    case Errc::http_version_unsupported:
      return "version";
    case Errc::request_line_too_long:
      return "line";
    case Errc::head_too_big:
      return "head";
    case Errc::too_many_header_fields:
      return "fields";
    default:
      return "?";
  }
}

// Returns the outcome and how many bytes were taken: "more 3", "malformed 7", "27 GET /a Host=b;".
std::string outcome(const HeadParser& parser, std::size_t took) {
  if (parser.status() == Status::more) return "more " + std::to_string(took);
  if (parser.status() == Status::failed) {
    return name_of(parser.error()) + ' ' + std::to_string(took);
  }
  return std::to_string(took);
}

std::string fields_of(std::span<const HeaderField> fields) {
  std::string text;
  for (const auto& [name, value] : fields) text.append(name).append("=").append(value).append(";");
  return text;
}

std::string describe(Kind kind, const HeadParser& parser, std::size_t took) {
  std::string text = outcome(parser, took);
  if (parser.status() != Status::done) return text;
  if (kind == Kind::request) {
    const Request request = parser.request("peer");
    EXPECT_EQ(request.remote_address(), "peer");
    text.append(" ").append(request.method()).append(" ").append(request.target());
    return text + ' ' + fields_of(request.headers());
  }
  const ResponseHead head = parser.response();
  text += " 1." + std::to_string(head.minor_version) + ' ' + std::to_string(head.status) + " '";
  return text.append(head.reason) + "' " + fields_of(head.fields);
}

// Feeds the pieces, each against a guard page, until the parser takes no more bytes.
std::string feed_pieces(Kind kind, const Limits& limits,
                        const std::vector<std::string_view>& pieces) {
  HeadParser parser;
  parser.start(kind, limits);
  std::size_t took = 0;
  for (const std::string_view piece : pieces) {
    const test::GuardPage page(piece);
    const std::size_t now = parser.feed(page.bytes());
    took += now;
    if (now < piece.size()) {
      EXPECT_NE(parser.status(), Status::more);
      EXPECT_EQ(parser.feed(page.bytes()), 0U) << "a parser that has ended takes nothing";
      break;
    }
  }
  EXPECT_EQ(parser.started(), took != 0);
  return describe(kind, parser, took);
}

// Returns the outcome for the whole text. Each cut in two, and single bytes, must give the same.
std::string parse(Kind kind, std::string_view text, const Limits& limits = {}) {
  const std::string whole = feed_pieces(kind, limits, {text});
  if (text.size() <= 600) {
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      EXPECT_EQ(feed_pieces(kind, limits, {text.substr(0, cut), text.substr(cut)}), whole)
          << text << " cut at " << cut;
    }
  }
  HeadParser parser;
  parser.start(kind, limits);
  std::size_t took = 0;
  while (took < text.size() && parser.feed(bytes(text.substr(took, 1))) == 1) ++took;
  EXPECT_EQ(describe(kind, parser, took), whole) << text << " byte by byte";
  return whole;
}

std::string request(std::string_view text, const Limits& limits = {}) {
  return parse(Kind::request, text, limits);
}
std::string response(std::string_view text, const Limits& limits = {}) {
  return parse(Kind::response, text, limits);
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  while (times-- != 0) all += text;
  return all;
}

TEST(HttpHead, Rfc9112_3_ParsesRequests) {
  EXPECT_EQ(request("GET / HTTP/1.1\r\n\r\n"), "18 GET / ");
  EXPECT_EQ(request("GET /chat?room=7&x=%20 HTTP/1.1\r\nHost: a\r\n\r\nrest"),
            "44 GET /chat?room=7&x=%20 Host=a;");
  EXPECT_EQ(request("M-SEARCH! /~{}|\\^\"<>@: HTTP/1.1\r\n\r\n"), "35 M-SEARCH! /~{}|\\^\"<>@: ");
  EXPECT_EQ(request("GET / HTTP/1.1\r\na:b\r\nA:  b c\t \r\nx:\r\ny: \t \r\nz:\t\tq\r\n\r\n"),
            "52 GET / a=b;A=b c;x=;y=;z=q;");
  EXPECT_EQ(request("GET / HTTP/1.1\r\nx: caf\xC3\xA9 \xFF\r\n\r\n"),
            "30 GET / x=caf\xC3\xA9 \xFF;");
  EXPECT_EQ(request("GET / HTTP/1.1\r\nx: :a:\"b\"\tc;d,e\r\n\r\n"), "35 GET / x=:a:\"b\"\tc;d,e;");
  EXPECT_EQ(request("GET / HTTP/1.1\r\n!#$%&'*+-.^_`|~9a: 1\r\n\r\n"),
            "40 GET / !#$%&'*+-.^_`|~9a=1;");
}

TEST(HttpHead, WaitsForTheBlankLine) {
  EXPECT_EQ(request(""), "more 0");
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(request(head.substr(0, size)), "more " + std::to_string(size));
  }
}

TEST(HttpHead, Rfc9112_2_2_AcceptsOneEmptyLineFirst) {
  EXPECT_EQ(request("\r\nGET / HTTP/1.1\r\n\r\n"), "20 GET / ");
  EXPECT_EQ(request("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), "malformed 2");
  EXPECT_EQ(request("\nGET / HTTP/1.1\r\n\r\n"), "malformed 0");
  EXPECT_EQ(request("\r\rGET / HTTP/1.1\r\n\r\n"), "malformed 1");
  EXPECT_EQ(response("\r\nHTTP/1.1 101\r\n\r\n"), "malformed 0");
}

TEST(HttpHead, Rfc9112_3_RefusesMalformedRequestLines) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {" GET / HTTP/1.1\r\n\r\n", "malformed 0"},
      {"GET\t/ HTTP/1.1\r\n\r\n", "malformed 3"},
      {"GET  / HTTP/1.1\r\n\r\n", "malformed 4"},
      {"G(T / HTTP/1.1\r\n\r\n", "malformed 1"},
      {"GET\r\n\r\n", "malformed 3"},
      {"GET /\r\n\r\n", "malformed 5"},  // HTTP/0.9
      {"GET / \r\n\r\n", "malformed 6"},
      {"GET /  HTTP/1.1\r\n\r\n", "malformed 6"},
      {"GET / HTTP/1.1 \r\n\r\n", "malformed 14"},
      {"GET / HTTP/1.1\n\r\n", "malformed 14"},
      {"GET / HTTP/1.1\rX", "malformed 15"},
      {"GET / HTTP/1.1\r\r\n", "malformed 15"},
      {"GET / HTTP/1.10\r\n\r\n", "malformed 14"},
      {"GET / HTTP/1.\r\n\r\n", "malformed 13"},
      {"GET / HTTP/1\r\n\r\n", "malformed 12"},
      {"GET / HTTP/x.1\r\n\r\n", "malformed 11"},
      {"GET / http/1.1\r\n\r\n", "malformed 6"},
      {"GET / ICY/1.1\r\n\r\n", "malformed 6"},
      // A target is visible ASCII without '#' and has one of three forms.
      {"GET * HTTP/1.1\r\n\r\n", "malformed 4"},
      {"OPTION * HTTP/1.1\r\n\r\n", "malformed 7"},
      {"options * HTTP/1.1\r\n\r\n", "malformed 8"},
      {"OPTIONS *a HTTP/1.1\r\n\r\n", "malformed 23"},
      {"OPTIONS ** HTTP/1.1\r\n\r\n", "malformed 23"},
      {"GET a/b HTTP/1.1\r\n\r\n", "malformed 4"},
      {"CONNECT a:80 HTTP/1.1\r\n\r\n", "malformed 8"},
      {"GET ?x HTTP/1.1\r\n\r\n", "malformed 4"},
      {"GET /#a HTTP/1.1\r\n\r\n", "malformed 5"},
      {"GET /a\tb HTTP/1.1\r\n\r\n", "malformed 6"},
      {"GET /\x7F HTTP/1.1\r\n\r\n", "malformed 5"},
      {"GET /\xC3\xA9 HTTP/1.1\r\n\r\n", "malformed 5"},
      {std::string("GET /\0 HTTP/1.1\r\n\r\n", 19), "malformed 5"},
      // Other protocols on this port.
      {"\x16\x03\x01\x02", "malformed 0"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed 4"},
      {std::string(64, '\0'), "malformed 0"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(request(text), expected) << text;
}

TEST(HttpHead, Rfc9112_3_2_2_AbsoluteFormBecomesOriginForm) {
  const std::vector<std::pair<std::string, std::string>> good{
      {"http://a/", "/ Host=a;"},
      {"HTTP://A/b?c", "/b?c Host=A;"},
      {"https://a.b:80/x//y?http://z/", "/x//y?http://z/ Host=a.b:80;"},
      {"http://[::1]:9001/x", "/x Host=[::1]:9001;"},
      {"http://a", "/ Host=a;"},
      {"http://a:", "/ Host=a:;"},
      {"http://a?b=/c", "/?b=/c Host=a;"},
      {"http://a/?", "/? Host=a;"},
  };
  for (const auto& [target, result] : good) {
    const std::string text = "GET " + target + " HTTP/1.1\r\nX: 1\r\nHost: b\r\n\r\nrest";
    const std::string size = std::to_string(text.size() - 4);
    std::string expected = size + " GET " + result;
    expected.insert(expected.find(" Host=") + 1, "X=1;");
    EXPECT_EQ(request(text), expected);
  }
  for (const char* target : {"http:///a", "http:/a", "http://", "http://u@a/", "http://a b/",
                             "http://a:65536/", "http://[::1/", "hello", "ht", "httpx://a/",
                             "ws://a/", "http//a", "h://a/", "http://a%/"}) {
    const std::string text = std::string("GET ") + target + " HTTP/1.1\r\nHost: b\r\n\r\n";
    EXPECT_TRUE(request(text).starts_with("malformed ")) << text << request(text);
  }
  // A valid Host field is replaced. check_host judges any other.
  EXPECT_EQ(request("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), "37 GET / Host=b c;");
  EXPECT_EQ(request("GET http://a/ HTTP/1.1\r\n\r\n"), "26 GET / ");
  EXPECT_EQ(request("GET http://a/ HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n"),
            "44 GET / Host=a;Host=c;");
  EXPECT_EQ(request("OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n"), "38 OPTIONS / Host=a;");
  EXPECT_EQ(request("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"), "31 OPTIONS * Host=b;");
}

TEST(HttpHead, Rfc9112_2_3_RequestsAreHttp10Or11) {
  HeadParser parser;
  for (const int minor : {0, 1, 0}) {
    const std::string text = "GET / HTTP/1." + std::to_string(minor) + "\r\n\r\n";
    EXPECT_EQ(request(text), "18 GET / ");
    parser.start(Kind::request, {});
    parser.feed(bytes(text));
    EXPECT_EQ(parser.request().minor_version(), minor);
  }
  for (const char* version : {"1.2", "2.0", "0.9", "9.9"}) {
    const std::string text = std::string("GET / HTTP/") + version + "\r\n\r\n";
    EXPECT_EQ(request(text), "version 14") << text;
  }
}

TEST(HttpHead, Rfc9112_5_RefusesMalformedFields) {
  const std::string line = "GET / HTTP/1.1\r\n";
  const std::vector<std::pair<std::string, int>> cases{
      {": a\r\n\r\n", 0},
      {"a\r\n\r\n", 1},
      {"a : b\r\n\r\n", 1},
      {"a\t: b\r\n\r\n", 1},
      {" a: b\r\n\r\n", 0},
      {"\ta: b\r\n\r\n", 0},
      {"a: b\r\n c\r\n\r\n", 6},  // folded
      {"a: b\r\n\tc\r\n\r\n", 6},
      {"a: b\r\n \r\n\r\n", 6},
      {"a(: b\r\n\r\n", 1},
      {"a\x80: b\r\n\r\n", 1},
      {"a: b\n\r\n", 4},
      {"a: b\rc\r\n\r\n", 5},
      {"a: b\r\r\n\r\n", 5},
      {"a: \x01\r\n\r\n", 3},
      {"a: 12345678\x0B\r\n\r\n", 11},
      {"a: 1234567890123456\x7F\r\n\r\n", 19},
      {"a: \x1F"
       "12345678\r\n\r\n",
       3},
      {std::string("a: b\0c\r\n\r\n", 10), 4},
      {std::string("a\0: b\r\n\r\n", 9), 1},
      {"\n", 0},
      {"\r\r\n", 1},
      {"a: b\r\n\rx", 7},
      {"a: b\r\n\n", 6},
  };
  for (const auto& [text, at] : cases) {
    EXPECT_EQ(request(line + text), "malformed " + std::to_string(16 + at)) << text;
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + text), "malformed " + std::to_string(17 + at))
        << text;
  }
}

TEST(HttpHead, RefusesAControlAtAnyPlaceOfAValue) {
  for (int c = 0; c < 256; ++c) {
    for (std::size_t place = 0; place < 20; ++place) {
      std::string value(20, 'v');
      value[place] = static_cast<char>(c);
      const std::string text = "HTTP/1.1 200 OK\r\nab: " + value + "\r\n\r\n";
      HeadParser parser;
      parser.start(Kind::response, {});
      const std::size_t took = parser.feed(bytes(text));
      const bool good = c == '\t' || (c >= 0x20 && c != 0x7F);
      ASSERT_EQ(parser.status(), good ? Status::done : Status::failed) << c << " at " << place;
      // For a bare CR, the byte after it is the fault.
      if (!good) {
        ASSERT_EQ(took, 21 + place + (c == '\r' ? 1 : 0)) << c;
      }
    }
  }
}

TEST(HttpHead, Rfc9110_5_6_2_NameHasOnlyTokenBytesAtAnyPlace) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  for (int c = 0; c < 256; ++c) {
    for (std::size_t place = 0; place < 36; ++place) {
      std::string name(36, 'n');
      name[place] = static_cast<char>(c);
      HeadParser parser;
      parser.start(Kind::response, {});
      const std::size_t took = parser.feed(bytes("HTTP/1.1 200 OK\r\n" + name + ": v\r\n\r\n"));
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      const bool token = letter || (c >= '0' && c <= '9') ||
                         (c != 0 && others.find(static_cast<char>(c)) != others.npos);
      const bool good = token || (c == ':' && place > 0);  // ":" ends the name
      ASSERT_EQ(parser.status(), good ? Status::done : Status::failed) << c << " at " << place;
      if (!good) {
        ASSERT_EQ(took, 17 + place + (c == '\r' && place == 0 ? 1 : 0)) << c << " at " << place;
      }
    }
  }
}

TEST(HttpHead, Rfc9112_3_2_1_TargetIsVisibleAsciiAtAnyPlace) {
  for (int c = 0; c < 256; ++c) {
    for (std::size_t place = 0; place < 36; ++place) {
      std::string target(36, 't');
      target[place] = static_cast<char>(c);
      HeadParser parser;
      parser.start(Kind::request, {});
      const std::size_t took = parser.feed(bytes("GET /" + target + " HTTP/1.1\r\n\r\n"));
      const bool good = c > 0x20 && c < 0x7F && c != '#';
      ASSERT_EQ(parser.status(), good ? Status::done : Status::failed) << c << " at " << place;
      // A space ends the target; the next byte is no version.
      if (!good) {
        ASSERT_EQ(took, 5 + place + (c == ' ' ? 1 : 0)) << c << " at " << place;
      }
    }
  }
}

// Each cut moves the borders of the vectors. The result must be the same.
TEST(HttpHead, AnyByteAtAnyPlaceParsesTheSameInPieces) {
  const std::string head =
      "GET /chat?room=7 HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nX_1:\t \xC3\xA9 q\r\n\r\n";
  const auto in_pieces = [](std::string_view text, std::size_t first, std::size_t others) {
    HeadParser parser;
    parser.start(Kind::request, {});
    std::size_t took = parser.feed(bytes(text.substr(0, first)));
    while (parser.status() == Status::more && took < text.size()) {
      took += parser.feed(bytes(text.substr(took, others)));
    }
    return describe(Kind::request, parser, took);
  };
  for (std::size_t place = 0; place < head.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      std::string text = head;
      text[place] = static_cast<char>(c);
      const std::string whole = in_pieces(text, text.size(), 0);
      for (const std::size_t cut : {place, place + 1, text.size() / 2}) {
        ASSERT_EQ(in_pieces(text, cut, text.size()), whole) << c << " at " << place << '/' << cut;
      }
      ASSERT_EQ(in_pieces(text, 1, 1), whole) << c << " at " << place << " byte by byte";
    }
  }
}

// Names and values of lengths around those of vectors, cut at every byte.
TEST(HttpHead, ParsesFieldsOfEveryLength) {
  for (std::size_t size = 1; size <= 40; ++size) {
    const std::string name(size, 'n');
    const std::string value(41 - size, 'v');
    const std::string text = name + ": " + value + "\r\n";
    const std::string both = name + '=' + value + ';';
    EXPECT_EQ(request("GET / HTTP/1.1\r\n" + text + text + "\r\n"),
              std::to_string(18 + 2 * text.size()) + " GET / " + both + both);
  }
}

TEST(HttpHead, Rfc9112_4_ParsesResponses) {
  EXPECT_EQ(response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x01x"),
            "56 1.1 101 'Switching Protocols' Upgrade=websocket;");
  EXPECT_EQ(response("HTTP/1.1 101 \r\n\r\n"), "17 1.1 101 '' ");
  EXPECT_EQ(response("HTTP/1.1 101\r\n\r\n"), "16 1.1 101 '' ");
  EXPECT_EQ(response("HTTP/1.0 403 No\tway \xC3\xA9!\r\na: b\r\n\r\n"),
            "33 1.0 403 'No\tway \xC3\xA9!' a=b;");
  EXPECT_EQ(response("HTTP/1.9 999 x\r\n\r\n"), "18 1.9 999 'x' ");
  EXPECT_EQ(response("HTTP/1.1 100  a \r\n\r\n"), "20 1.1 100 ' a ' ");
}

TEST(HttpHead, Rfc9112_4_RefusesMalformedStatusLines) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"HTTP/2.0 101 x\r\n\r\n", "version 8"},
      {"HTTP/0.9 101 x\r\n\r\n", "version 8"},
      {"HTTP/1.1\r\n\r\n", "malformed 8"},
      {"HTTP/1.1  101 x\r\n\r\n", "malformed 9"},
      {"HTTP/1.1 099 x\r\n\r\n", "malformed 9"},
      {"HTTP/1.1 10 x\r\n\r\n", "malformed 11"},
      {"HTTP/1.1 1010 x\r\n\r\n", "malformed 12"},
      {"HTTP/1.1 101x\r\n\r\n", "malformed 12"},
      {"HTTP/1.1 101\n\r\n", "malformed 12"},
      {"HTTP/1.1 101\rx", "malformed 13"},
      {"HTTP/1.1 101 a\x01\r\n\r\n", "malformed 14"},
      {"HTTP/1.1 101 a\n\r\n", "malformed 14"},
      {"HTTP/11 101 x\r\n\r\n", "malformed 6"},
      {"http/1.1 101 x\r\n\r\n", "malformed 0"},
      {" HTTP/1.1 101 x\r\n\r\n", "malformed 0"},
      {"ICY 200 OK\r\n\r\n", "malformed 0"},
      {"\x81\x05hello", "malformed 0"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(response(text), expected) << text;
}

TEST(HttpHead, RequestLineHasALimit) {
  const Limits limits{.max_request_line_bytes = 20};
  const std::string rest = " HTTP/1.1\r\n\r\n";
  EXPECT_EQ(request("GET /" + std::string(6, 'a') + rest, limits), "24 GET /aaaaaa ");
  EXPECT_EQ(request("\r\nGET /" + std::string(6, 'a') + rest, limits), "26 GET /aaaaaa ");
  EXPECT_EQ(request("GET /" + std::string(7, 'a') + rest, limits), "line 20");
  EXPECT_EQ(request("\r\nGET /" + std::string(7, 'a') + rest, limits), "line 22");
  EXPECT_EQ(request("GET /" + std::string(99, 'a'), limits), "line 20");
  EXPECT_EQ(request(std::string(99, 'M'), limits), "line 20");
  EXPECT_EQ(request("GET /" + std::string(15, 'a') + "\r\n", limits), "malformed 20");
  // A response has no such limit; only the limit of the head applies.
  EXPECT_EQ(response("HTTP/1.1 200 " + std::string(20, 'r') + "\r\n\r\n", limits).substr(0, 2),
            "37");
}

TEST(HttpHead, RequestLineLimitIs8192ByDefault) {
  const std::string longest = "GET /" + std::string(8192 - 14, 'a') + " HTTP/1.1\r\n\r\n";
  EXPECT_EQ(request(longest).substr(0, 6), "8196 G");
  EXPECT_EQ(request("GET /" + std::string(8192 - 13, 'a') + " HTTP/1.1\r\n\r\n"), "line 8192");
}

TEST(HttpHead, HeadHasALimit) {
  const std::string line = "GET / HTTP/1.1\r\n";
  for (const std::size_t limit : {std::size_t{100}, std::size_t{16384}}) {
    const Limits limits{.max_head_bytes = limit};
    const std::string fits = line + "a: " + std::string(limit - 23, 'v') + "\r\n\r\n";
    ASSERT_EQ(fits.size(), limit);
    EXPECT_EQ(request(fits, limits).substr(0, 4), (std::to_string(limit) + " GET").substr(0, 4));
    EXPECT_EQ(request(fits + std::string(limit, 'x'), limits), request(fits, limits))
        << "bytes after the head do not count";
    const std::string over = line + "a: " + std::string(limit - 22, 'v') + "\r\n\r\n";
    EXPECT_EQ(request(over, limits), "head " + std::to_string(limit));
    EXPECT_EQ(request(over.substr(0, limit), limits), "head " + std::to_string(limit))
        << "reported as soon as the blank line cannot arrive within the limit";
    EXPECT_EQ(request(over.substr(0, limit - 1), limits), "more " + std::to_string(limit - 1));
    EXPECT_EQ(response("HTTP/1.1 200 " + std::string(limit, 'r'), limits),
              "head " + std::to_string(limit));
  }
  EXPECT_EQ(request("G", {.max_head_bytes = 0}), "head 0");
  EXPECT_EQ(request(line + "\r\n", {.max_head_bytes = ~std::size_t{0}}), "18 GET / ");
}

TEST(HttpHead, FieldCountHasALimit) {
  const std::string line = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(request(line + repeated("a: b\r\n", 100) + "\r\n"),
            "618 GET / " + repeated("a=b;", 100));
  EXPECT_EQ(request(line + repeated("a: b\r\n", 101) + "\r\n"), "fields 616");
  EXPECT_EQ(request(line + "a: b\r\n\r\n", {.max_header_fields = 1}), "24 GET / a=b;");
  EXPECT_EQ(request(line + "a: b\r\nc: d\r\n\r\n", {.max_header_fields = 1}), "fields 22");
  EXPECT_EQ(request(line + "\r\n", {.max_header_fields = 0}), "18 GET / ");
}

TEST(HttpHead, ParserCanBeUsedAgain) {
  HeadParser parser;
  EXPECT_EQ(parser.feed(bytes("GET")), 0U) << "not started yet";
  for (int round = 0; round < 3; ++round) {
    parser.start(Kind::request, {});
    EXPECT_FALSE(parser.started());
    const std::string_view head = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_EQ(parser.feed(bytes(head)), head.size());
    EXPECT_EQ(describe(Kind::request, parser, head.size()), "28 GET /a Host=x;");

    parser.start(Kind::request, {.max_head_bytes = 3});
    EXPECT_EQ(parser.feed(bytes("GET /")), 3U);
    EXPECT_EQ(parser.error(), Errc::head_too_big);

    parser.start(Kind::response, {});
    // The version differs from that of the request in the next round.
    const std::string_view answer = "HTTP/1.0 404\r\nb: c\r\n\r\n";
    EXPECT_EQ(parser.feed(bytes(answer)), answer.size());
    EXPECT_EQ(describe(Kind::response, parser, answer.size()), "22 1.0 404 '' b=c;");

    parser.release();
    EXPECT_EQ(parser.status(), Status::failed);
    EXPECT_EQ(parser.feed(bytes("GET")), 0U);
  }
}

TEST(HttpHead, ViewsPointIntoTheParser) {
  HeadParser parser;
  parser.start(Kind::request, {});
  std::string head = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
  parser.feed(bytes(head));
  head.assign(head.size(), '#');
  EXPECT_EQ(describe(Kind::request, parser, 28), "28 GET /a Host=x;");
  EXPECT_EQ(parser.request().remote_address(), "");
}

TEST(HttpHeadDeathTest, AssertsThatTheHeadIsDone) {
  HeadParser parser;
  parser.start(Kind::request, {});
  EXPECT_DEATH(parser.request(), "assertion failed");
  EXPECT_DEATH(parser.response(), "assertion failed");
}

}  // namespace
}  // namespace tern::http
