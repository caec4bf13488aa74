// The server's half of the opening handshake, RFC 6455 §4.2: each head is parsed whole and cut at
// every byte.
#include "handshake/server.h"
#include "http/head.h"
#include "http/response.h"
#include "support/guard_page.h"

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::handshake {
namespace {

using http::HeadParser;
using Lines = std::vector<std::string>;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

Lines good_lines() {
  return {"Host: example.org", "Upgrade: websocket", "Connection: Upgrade",
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"};
}

std::string head_of(const Lines& lines, std::string_view request_line = "GET /chat HTTP/1.1") {
  std::string head(request_line);
  for (const std::string& line : lines) head += "\r\n" + line;
  return head + "\r\n\r\n";
}

// The valid lines with changes. "Name: value" replaces the line of that name, or is added at the
// end; "-Name" removes it; "+Name: value" is always added at the end.
Lines changed(const Lines& changes) {
  Lines lines = good_lines();
  for (const std::string& change : changes) {
    const bool remove = change.starts_with('-');
    const bool add = change.starts_with('+');
    const std::string text = change.substr(remove || add ? 1 : 0);
    const std::string name = text.substr(0, text.find(':'));
    const auto same_name = [&](const std::string& line) { return line.starts_with(name + ':'); };
    const auto at = std::find_if(lines.begin(), lines.end(), same_name);
    if (remove) {
      std::erase_if(lines, same_name);
    } else if (add || at == lines.end()) {
      lines.push_back(text);
    } else {
      *at = text;
    }
  }
  return lines;
}

// The answer of a server to a head: it parses, checks, and accepts or refuses. `head` is the status
// line and the fields; `body` is the text of a refusal.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

Answer answer(const std::vector<std::string_view>& pieces,
              const std::vector<std::string>& origins = {}) {
  HeadParser parser;
  parser.start(HeadParser::Kind::request, {});
  for (const std::string_view piece : pieces) {
    const test::GuardPage page(piece);
    if (parser.feed(page.bytes()) < piece.size()) break;
  }
  Request request;
  std::optional<Errc> fault;
  if (parser.status() == HeadParser::Status::failed) {
    fault = parser.error();
  } else if (parser.status() == HeadParser::Status::more) {
    return {};
  } else {
    request = parser.request();
    http::BodyFraming framing;
    fault = check_request(request, framing);
    // The engine does the same: an upgrade has no body.
    const bool has_body = framing.kind != http::BodyFraming::Kind::none;
    if (!fault && has_body) fault = Errc::request_with_body;
    if (!fault) fault = check_upgrade(request, origins);
  }
  Answer result;
  if (fault) {
    const Response response = refusal(*fault, request);
    EXPECT_TRUE(http::write_response(result.head, response, refusal_fields(*fault), true));
    result.status = refusal_status(*fault, request);
    EXPECT_EQ(response.code(), result.status);
    result.body = response.body();
  } else {
    EXPECT_EQ(write_accept(result.head, request, {}, {}), std::nullopt);
    result.status = 101;
  }
  return result;
}

Answer answer(std::string_view head) { return answer(std::vector{head}); }

std::string field(const Answer& answered, std::string_view name) {
  HeadParser parser;
  parser.start(HeadParser::Kind::response, {});
  EXPECT_EQ(parser.feed(bytes(answered.head)), answered.head.size());
  EXPECT_EQ(parser.status(), HeadParser::Status::done) << answered.head;
  return std::string(parser.response().header(name));
}

TEST(HandshakeServer, Rfc6455_1_3_AnswersTheExample) {
  EXPECT_EQ(answer(head_of(good_lines())).head,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

TEST(HandshakeServer, Rfc6455_4_2_1_AcceptsValidUpgrades) {
  const std::string browser = "Mozilla/5.0 (X11; Linux x86_64) \"q\" caf\xC3\xA9";
  const std::vector<Lines> cases{
      good_lines(),
      {"hOST:example.org", "uPGRADE:WebSocket", "cONNECTION:uPGRADE",
       "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==", "SEC-WEBSOCKET-VERSION:13"},
      changed({"Upgrade: \t websocket \t ", "Connection:   Upgrade   ",
               "Sec-WebSocket-Version:\t13\t"}),
      changed({"Connection: keep-alive, Upgrade"}),
      changed({"Connection: keep-alive,,\t,upgrade ,"}),
      changed({"Connection: keep-alive", "+Connection: Upgrade"}),
      changed({"Upgrade: h2c, websocket"}),
      changed({"Upgrade: h2c", "+Upgrade: websocket"}),
      changed({"Upgrade: foo/2, WEBSOCKET"}),
      changed({"Content-Length: 0"}),
      changed({"Host: example.org:9001"}),
      changed({"Host: [2001:db8::7]:9001"}),
      changed({"Origin: http://example.org"}),
      changed({"Origin: http://EXAMPLE.org:80"}),
      changed({"Sec-WebSocket-Protocol: chat, superchat"}),
      changed({"Sec-WebSocket-Protocol: chat", "+Sec-WebSocket-Protocol: superchat"}),
      changed({"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}),
      changed({"Sec-WebSocket-Extensions: a;b=\"10\", c , ,d;e;f=g"}),
      changed({"Sec-WebSocket-Extensions: a", "+Sec-WebSocket-Extensions: b; c"}),
      changed({"Sec-WebSocket-Key: +/+/+/+/+/+/+/+/+/+/+w=="}),
      changed({"User-Agent: " + browser, "X-Empty:", "Accept-Language: de,en;q=0.5"}),
  };
  for (const Lines& lines : cases) {
    const std::string head = head_of(lines);
    EXPECT_EQ(answer(head).status, 101) << head << answer(head).body;
    for (std::size_t cut = 1; cut < head.size(); cut += head.size() < 2000 ? 1 : 499) {
      const std::string_view view = head;
      EXPECT_EQ(answer({view.substr(0, cut), view.substr(cut)}).status, 101) << head << cut;
    }
  }
  Lines hundred = good_lines();
  while (hundred.size() < 100) hundred.push_back("X-" + std::to_string(hundred.size()) + ": y");
  EXPECT_EQ(answer(head_of(hundred)).status, 101);
  hundred.push_back("X: y");
  EXPECT_EQ(answer(head_of(hundred)).status, 431);
  EXPECT_EQ(answer(head_of(good_lines(), "GET /?a=b&c=%20 HTTP/1.1")).status, 101);
  EXPECT_EQ(answer(head_of(good_lines()) + "\x81\x85 first frame").status, 101);
}

struct Refused {
  Lines changes;
  int status;
  std::string request_line = "GET /chat HTTP/1.1";
};

// Each refusal has its status, Connection: close, and one line of text.
void expect_refusals(const std::vector<Refused>& table) {
  for (const Refused& row : table) {
    const std::string head = head_of(changed(row.changes), row.request_line);
    const Answer answered = answer(head + "GET /smuggled HTTP/1.1\r\n\r\n");
    EXPECT_EQ(answered.status, row.status) << head;
    if (answered.status < 200) continue;
    EXPECT_TRUE(field(answered, "Connection").starts_with("close")) << answered.head;
    EXPECT_EQ(field(answered, "Content-Length"), std::to_string(answered.body.size()));
    EXPECT_EQ(field(answered, "Content-Type"), "text/plain; charset=utf-8");
    EXPECT_FALSE(answered.body.empty());
    EXPECT_EQ(answered.body.find('\n'), std::string::npos);
    const std::string_view view = head;
    for (std::size_t cut = 1; cut < head.size(); cut += head.size() < 2000 ? 1 : 499) {
      const Answer again = answer({view.substr(0, cut), view.substr(cut)});
      EXPECT_EQ(again.head, answered.head) << head << " cut at " << cut;
    }
  }
}

TEST(HandshakeServer, Rfc9112_RefusesBadHeads) {
  expect_refusals({
      {{"-Host"}, 400},
      {{"+Host: example.org"}, 400},
      {{"Host:"}, 400},
      {{"Host: a b"}, 400},
      {{"Host: user@a"}, 400},
      {{"Host: a:65536"}, 400},
      {{"Content-Length: 1"}, 400},
      {{"Content-Length: -1"}, 400},
      {{"Content-Length: 0", "+Content-Length: 1"}, 400},
      {{"Content-Length: 99999999999999999999999"}, 400},
      {{"Transfer-Encoding: chunked"}, 400},
      {{"Transfer-Encoding: chunked", "+Content-Length: 0"}, 400},
      {{"X: a\r\n folded"}, 400},
      {{std::string("X: a\0b", 6)}, 400},
      {{"X: a\rb"}, 400},
      {{"X: a\nY: b"}, 400},
      {{"X: a\x01"}, 400},
      {{"X: \x7F"}, 400},
      {{"X : a"}, 400},
      {{": a"}, 400},
      {{"X"}, 400},
      {{"X(: a"}, 400},
      {{}, 400, "GET chat HTTP/1.1"},
      {{}, 400, "GET ws://example.org/chat HTTP/1.1"},
      {{}, 400, "GET * HTTP/1.1"},
      {{}, 400, "GET /a b HTTP/1.1"},
      {{}, 400, "GET /a\tb HTTP/1.1"},
      {{}, 400, "GET /a\x7F HTTP/1.1"},
      {{}, 400, "GET /#a HTTP/1.1"},
      {{}, 400, "GET /\xC3\xA9 HTTP/1.1"},
      {{}, 400, "GET /chat"},
      {{}, 400, "GET  /chat HTTP/1.1"},
      {{}, 400, "GET /chat HTTP/1.1 "},
      {{}, 400, "GET /chat HTTP/1.x"},
      {{}, 505, "GET /chat HTTP/1.2"},
      {{}, 505, "GET /chat HTTP/2.0"},
      {{}, 414, "GET /" + std::string(8192 - 13, 'a') + " HTTP/1.1"},
      {{"X: " + std::string(16384, 'a')}, 431},
  });
}

TEST(HandshakeServer, Rfc6455_4_2_1_RefusesBadUpgrades) {
  const std::string key = "Sec-WebSocket-Key: ";
  expect_refusals({
      {{}, 405, "POST /chat HTTP/1.1"},
      {{}, 405, "HEAD /chat HTTP/1.1"},
      {{}, 426, "GET /chat HTTP/1.0"},  // RFC 9110 §7.8: it has no upgrade
      {{}, 405, "get /chat HTTP/1.1"},
      {{"-Upgrade", "-Connection", "-Sec-WebSocket-Key", "-Sec-WebSocket-Version"}, 426},
      {{"-Upgrade"}, 426},
      {{"Upgrade:"}, 426},
      {{"Upgrade: h2c"}, 426},
      {{"Upgrade: websockets"}, 426},
      {{"Upgrade: websocket/13"}, 426},
      {{"Upgrade: \"websocket\""}, 426},
      {{"-Connection"}, 400},
      {{"Connection:"}, 400},
      {{"Connection: close"}, 400},
      {{"Connection: keep-alive Upgrade"}, 400},
      {{"Connection: \"Upgrade\""}, 400},
      {{"-Sec-WebSocket-Version"}, 400},
      {{"Sec-WebSocket-Version:"}, 400},
      {{"Sec-WebSocket-Version: 013"}, 400},
      {{"Sec-WebSocket-Version: 13, 8"}, 400},
      {{"Sec-WebSocket-Version: 256"}, 400},
      {{"Sec-WebSocket-Version: 1313"}, 400},
      {{"Sec-WebSocket-Version: -3"}, 400},
      {{"Sec-WebSocket-Version: x"}, 400},
      {{"Sec-WebSocket-Version: 13", "+Sec-WebSocket-Version: 13"}, 400},
      {{"Sec-WebSocket-Version: 0"}, 426},
      {{"Sec-WebSocket-Version: 8"}, 426},
      {{"Sec-WebSocket-Version: 12"}, 426},
      {{"Sec-WebSocket-Version: 14"}, 426},
      {{"Sec-WebSocket-Version: 255"}, 426},
      {{"-Sec-WebSocket-Key"}, 400},
      {{key}, 400},
      {{"+" + key + "dGhlIHNhbXBsZSBub25jZQ=="}, 400},
      {{key + "dGhlIHNhbXBsZSBub25jZQ"}, 400},
      {{key + "dGhlIHNhbXBsZSBub25jZQ="}, 400},
      {{key + "dGhlIHNhbXBsZSBub25jZXM="}, 400},
      {{key + "dGhlIHNhbXBsZSBub25jZ-=="}, 400},
      {{key + "dGhlIHNhbXBsZSBub25jZQ==, x"}, 400},
  });
}

TEST(HandshakeServer, Rfc6455_4_2_1_RefusesBadListsAndOrigins) {
  const std::string protocol = "Sec-WebSocket-Protocol: ";
  const std::string extensions = "Sec-WebSocket-Extensions: ";
  expect_refusals({
      {{protocol}, 400},
      {{protocol + "a b"}, 400},
      {{protocol + "a, a"}, 400},
      {{protocol + "a", "+" + protocol + "b, a"}, 400},
      {{protocol + "\"a\""}, 400},
      {{extensions}, 400},
      {{extensions + ","}, 400},
      {{extensions + "a b"}, 400},
      {{extensions + "a;"}, 400},
      {{extensions + "a;=1"}, 400},
      {{extensions + "a;b=\"c"}, 400},
      {{extensions + "a;b=\"c d\""}, 400},
      {{extensions + "a, ;b"}, 400},
      {{extensions + "a, \"b"}, 400},
      {{"Origin: https://evil.example"}, 403},
      {{"Origin: null"}, 403},
      {{"Origin:"}, 403},
      {{"Origin: http://example.org:444"}, 403},
      {{"Origin: http://example.org", "+Origin: http://example.org"}, 403},
  });
}

TEST(HandshakeServer, AllowedOriginsAreChecked) {
  const std::string head = head_of(changed({"Origin: https://other.example"}));
  EXPECT_EQ(answer({head}, {"https://other.example"}).status, 101);
  EXPECT_EQ(answer({head}, {"*"}).status, 101);
  EXPECT_EQ(answer({head}, {"https://another.example"}).status, 403);
}

TEST(HandshakeServer, Rfc6455_4_4_VersionRefusalsNameVersion13) {
  for (const char* line : {"-Sec-WebSocket-Version", "Sec-WebSocket-Version: x",
                           "Sec-WebSocket-Version: 12", "-Upgrade"}) {
    const Answer answered = answer(head_of(changed({line})));
    EXPECT_EQ(field(answered, "Sec-WebSocket-Version"), "13") << line;
    EXPECT_EQ(field(answered, "Upgrade"), "websocket") << line;
    EXPECT_EQ(field(answered, "Connection"), "close, Upgrade") << line;
  }
}

TEST(HandshakeServer, EachFaultHasItsStatus) {
  const std::vector<std::pair<Errc, int>> map{
      {Errc::http_malformed, 400},
      {Errc::http_version_unsupported, 505},
      {Errc::request_line_too_long, 414},
      {Errc::head_too_big, 431},
      {Errc::too_many_header_fields, 431},
      {Errc::host_invalid, 400},
      {Errc::request_with_body, 400},
      {Errc::method_not_allowed, 405},
      {Errc::upgrade_required, 426},
      {Errc::upgrade_header_invalid, 400},
      {Errc::version_unsupported, 400},
      {Errc::key_invalid, 400},
      {Errc::protocol_list_invalid, 400},
      {Errc::extension_list_invalid, 400},
      {Errc::origin_refused, 403},
      {Errc::route_not_found, 404},
      {Errc::overloaded, 503},
      {Errc::handshake_timeout, 408},
      {Errc::handler_threw, 500},
      {Errc::no_memory, 500},
      {Errc::invalid_header, 500},
      {Errc::frame_masked, 500},
  };
  for (const auto& [errc, status] : map) {
    EXPECT_EQ(refusal_status(errc), status) << make_error_code(errc).message();
    EXPECT_EQ(refusal(errc).code(), status);
    const std::string body(refusal(errc).body());
    if (status == 500) {
      EXPECT_EQ(body, "Internal Server Error") << "the cause is for the log only";
    } else {
      EXPECT_EQ(body, make_error_code(errc).message());
    }
  }
}

TEST(HandshakeServer, RefusalsHaveTheirFields) {
  const auto one = [](Errc errc, Resource resource = Resource::websocket) {
    const auto fields = refusal_fields(errc, resource);
    return fields.size() == 1 ? std::string(fields[0].name) + ": " + std::string(fields[0].value)
                              : "";
  };
  EXPECT_EQ(one(Errc::method_not_allowed), "Allow: GET");
  EXPECT_EQ(one(Errc::method_not_allowed, Resource::page), "Allow: GET, HEAD, OPTIONS");
  EXPECT_EQ(one(Errc::overloaded), "Retry-After: 1");
  EXPECT_EQ(refusal_fields(Errc::upgrade_required).size(), 2U);
  EXPECT_TRUE(refusal_fields(Errc::http_malformed).empty());
}

class HandshakeServerAccept : public testing::Test {
 protected:
  void SetUp() override {
    parser_.start(HeadParser::Kind::request, {});
    parser_.feed(bytes(head_of(changed({"Sec-WebSocket-Protocol: chat, superchat"}))));
    ASSERT_EQ(parser_.status(), HeadParser::Status::done);
  }

  std::optional<Errc> write(std::string_view protocol,
                            const std::vector<std::pair<std::string, std::string>>& headers) {
    out_ = "before|";
    const auto fault = write_accept(out_, parser_.request(), protocol, headers);
    if (fault) {
      EXPECT_EQ(out_, "before|") << "nothing is appended on failure";
    }
    return fault;
  }

  HeadParser parser_;
  std::string out_;
};

TEST_F(HandshakeServerAccept, Rfc6455_4_2_2_WritesProtocolAndExtraHeaders) {
  EXPECT_EQ(write("superchat", {{"Set-Cookie", "a=b"}, {"Set-Cookie", "c=d"}}), std::nullopt);
  EXPECT_EQ(
      out_,
      "before|HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
      "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n");
}

TEST_F(HandshakeServerAccept, RefusesFieldsThatMayNotBeSent) {
  EXPECT_EQ(write("", {}), std::nullopt);
  EXPECT_EQ(write("Chat", {}), Errc::protocol_not_offered);
  EXPECT_EQ(write("chat\r\nX: y", {}), Errc::protocol_not_offered);
  EXPECT_EQ(write("", {{"X", "a\r\nY: b"}}), Errc::invalid_header);
  EXPECT_EQ(write("", {{"X", "a"}, {"", "b"}}), Errc::invalid_header);
  EXPECT_EQ(write("", {{"X Y", "a"}}), Errc::invalid_header);
  for (const char* name :
       {"Upgrade", "connection", "Sec-WebSocket-Accept", "sec-websocket-protocol",
        "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"}) {
    EXPECT_EQ(write("", {{name, "x"}}), Errc::invalid_header) << name;
  }
}

}  // namespace
}  // namespace tern::handshake
