// Response, and the heads that write_response makes of it, RFC 9112 §4.
#include "http/head.h"
#include "http/response.h"

#include <gtest/gtest.h>
#include <string>
#include <type_traits>
#include <vector>

namespace tern::http {
namespace {

using Fields = std::vector<HeaderField>;

std::string written(const Response& response, const Fields& own = {}, bool close = false) {
  std::string out = "before|";
  if (!write_response(out, response, own, close)) {
    EXPECT_EQ(out, "before|") << "nothing is appended on failure";
    return "refused";
  }
  return out.substr(7);
}

TEST(HttpResponse, FactoriesSetStatusTypeAndBody) {
  const Response gone = Response::status(404);
  EXPECT_EQ(gone.code(), 404);
  EXPECT_EQ(gone.body(), "Not Found");
  EXPECT_EQ(Response::status(401, "log in first").body(), "log in first");
  EXPECT_EQ(Response::text("a").code(), 200);
  EXPECT_EQ(Response::text("a").body(), "a");
  EXPECT_EQ(Response::text("a").fields()[0].second, "text/plain; charset=utf-8");
  EXPECT_EQ(Response::html("<p>").fields()[0].second, "text/html; charset=utf-8");
  const auto page = std::make_shared<const std::string>("page");
  const Response shared = Response::shared(page, "text/css");
  EXPECT_EQ(shared.body().data(), page->data()) << "not copied";
  EXPECT_EQ(shared.shared_body(), page);
  EXPECT_EQ(Response::shared(nullptr, "a/b").body(), "");
  EXPECT_EQ(Response::status(299).body(), "");
}

TEST(HttpResponse, Rfc9112_4_WritesStatusLineFieldsAndLength) {
  EXPECT_EQ(
      written(Response::text("hello")),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(written(Response::status(503).header("Retry-After", "2"), {}, true),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Retry-After: 2\r\nContent-Length: 19\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(
      written(Response::status(299)),
      "HTTP/1.1 299 \r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n");
  Response named = Response::status(204);
  named.header("X-A", "").header("Date", "Tue, 15 Nov 1994 08:12:31 GMT");
  EXPECT_EQ(written(named),
            "HTTP/1.1 204 No Content\r\nX-A: \r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\n");
}

TEST(HttpResponse, Rfc9110_8_6_NoContentLengthWithoutContent) {
  EXPECT_EQ(written(Response::status(204, "ignored")), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(written(Response::status(304)), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_FALSE(has_content(101));
  EXPECT_TRUE(has_content(200));
  EXPECT_TRUE(has_content(426));
}

// A reference to the end of a chain would refer to the temporary at its start.
TEST(HttpResponse, AChainOfFieldsEndsInAValue) {
  static_assert(std::is_same_v<decltype(Response::text("").header("a", "b")), Response>);
  const Response& kept = Response::text("a").header("X-A", std::string(100, 'x'));
  EXPECT_EQ(kept.fields().back().second, std::string(100, 'x'));
}

TEST(HttpResponse, Rfc9110_5_3_ASingleFieldIsReplaced) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  Response json = Response::text("{}");
  json.header("X-A", "1").header("content-type", "application/json").header("X-A", "2");
  EXPECT_EQ(json.fields(),
            (Pairs{{"Content-Type", "application/json"}, {"X-A", "1"}, {"X-A", "2"}}));
  const Response moved =
      Response::status(307).header("Location", "/a").header("LOCATION", "/b").header("Vary", "a");
  EXPECT_EQ(moved.fields()[1], (Pairs::value_type{"Location", "/b"}));
  EXPECT_EQ(moved.fields().size(), 3u);
  for (const char* list : {"Set-Cookie", "WWW-Authenticate", "Link", "Cache-Control", "Vary"}) {
    EXPECT_EQ(Response::text("").header(list, "a").header(list, "b").fields().size(), 3u) << list;
  }
  EXPECT_EQ(Response::json("{}").fields(), (Pairs{{"Content-Type", "application/json"}}));
  EXPECT_EQ(Response::json("{}").body(), "{}");
  const Response image = Response::body(std::string("\0PNG", 4), "image/png");
  EXPECT_EQ(image.fields(), (Pairs{{"Content-Type", "image/png"}}));
  EXPECT_EQ(image.body(), std::string_view("\0PNG", 4));
  EXPECT_EQ(image.code(), 200);
}

TEST(HttpResponse, Rfc9110_7_8_ConnectionNamesUpgrade) {
  const Fields own{{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
  EXPECT_EQ(written(Response::status(426), own, true),
            "HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 16\r\n"
            "Connection: close, Upgrade\r\n\r\n");
  EXPECT_NE(written(Response::status(426), own, false).find("\r\nConnection: Upgrade\r\n"),
            std::string::npos);
}

TEST(HttpResponse, Rfc9110_5_RefusesFieldsThatInjectLines) {
  for (const char* name : {"", "A B", "A:", "A\r\nB", "\xC3\xA9", " A", "A\t"}) {
    EXPECT_EQ(written(Response::text("").header(name, "b")), "refused") << name;
  }
  for (int c = 0; c < 256; ++c) {
    const std::string value = std::string("a") + static_cast<char>(c) + "b";
    const bool good = c == '\t' || (c >= 0x20 && c != 0x7F);
    EXPECT_EQ(written(Response::text("").header("A", value)) != "refused", good) << c;
  }
  EXPECT_EQ(written(Response::shared(nullptr, "a\nb")), "refused");
  EXPECT_EQ(written(Response::text(""), {{"A", "\n"}}), "refused");
}

TEST(HttpResponse, RefusesFieldsThatTernWritesItself) {
  for (const char* name : {"Connection", "content-length", "TRANSFER-ENCODING", "Upgrade",
                           "Sec-WebSocket-Accept", "sec-websocket-", "Sec-WebSocket-Whatever"}) {
    EXPECT_TRUE(is_own_field(name)) << name;
    EXPECT_EQ(written(Response::text("").header(name, "0")), "refused") << name;
  }
  for (const char* name :
       {"Sec-WebSocket", "Sec-Fetch-Mode", "Connectio", "Upgrade-Insecure", "Date"}) {
    EXPECT_FALSE(is_own_field(name)) << name;
  }
}

TEST(HttpResponse, RefusesAStatusOutsideOf200To599) {
  for (const int status : {-1, 0, 99, 100, 101, 199, 600, 1000}) {
    EXPECT_EQ(written(Response::status(status)), "refused") << status;
  }
  EXPECT_NE(written(Response::status(200)), "refused");
  EXPECT_NE(written(Response::status(599)), "refused");
}

TEST(HttpResponse, Rfc9110_15_4_RedirectHasALocation) {
  for (const int code : {301, 302, 303, 307, 308}) {
    const Response response = Response::redirect("/a%20b?c", code);
    EXPECT_EQ(response.code(), code);
    EXPECT_NE(written(response).find("Location: /a%20b?c\r\n"), std::string::npos);
  }
  EXPECT_EQ(Response::redirect("/").code(), 302);
  for (const char* const location :
       {"", " ", "/a b", "http://x y", "/caf\xC3\xA9", "/a\r\nSet-Cookie: b=c", "/a\x7F"}) {
    const Response mistake = Response::redirect(location);
    EXPECT_EQ(mistake.code(), 500) << location;
    EXPECT_EQ(mistake.body(), "a redirect needs a location: a path or a URL, percent-encoded");
    EXPECT_EQ(written(mistake).find("Location"), std::string::npos) << location;
  }
  for (const int code : {0, 200, 300, 304, 400}) {
    const Response mistake = Response::redirect("/", code);
    EXPECT_EQ(mistake.code(), 500);
    EXPECT_EQ(mistake.body(), "a redirect cannot have the status " + std::to_string(code));
  }
}

TEST(HttpResponse, StatusTextIsItsReasonPhrase) {
  EXPECT_EQ(reason_phrase(101), "Switching Protocols");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(0), "");
  for (int status = 0; status < 1000; ++status) {
    const Response response = Response::status(status);
    if (reason_phrase(status).empty() || !has_content(status)) continue;
    EXPECT_EQ(response.body(), reason_phrase(status));
  }
}

TEST(HttpResponse, WrittenHeadParsesToTheSameFields) {
  for (int status = 200; status < 600; ++status) {
    const std::string text = written(Response::status(status).header("X", "y"), {}, true);
    HeadParser parser;
    parser.start(HeadParser::Kind::response, {});
    EXPECT_EQ(parser.feed(std::as_bytes(std::span(text))), text.size());
    ASSERT_EQ(parser.status(), HeadParser::Status::done);
    EXPECT_EQ(parser.response().status, status);
    EXPECT_EQ(parser.response().reason, reason_phrase(status));
    EXPECT_EQ(parser.response().header("x"), "y");
    EXPECT_EQ(parser.response().header("Connection"), "close");
  }
}

}  // namespace
}  // namespace tern::http
