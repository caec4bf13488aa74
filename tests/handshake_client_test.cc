// The client's half of the opening handshake, RFC 6455 §4.1: each response is parsed whole and cut
// at every byte.
#include "handshake/client.h"
#include "handshake/server.h"
#include "http/head.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::handshake {
namespace {

using http::HeadParser;

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
const std::vector<std::string> offered{"chat", "superchat"};

std::string good_answer() {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
}

// The valid response with `from` replaced by `to`; `from` must be there.
std::string changed(std::string_view from, std::string_view to) {
  std::string text = good_answer();
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string with_line(std::string_view line) {
  return changed("\r\n\r\n", "\r\n" + std::string(line) + "\r\n\r\n");
}

struct Verdict {
  std::optional<Errc> fault;
  std::string chosen;
  bool operator==(const Verdict&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  if (verdict.fault) return out << make_error_code(*verdict.fault).message();
  return out << '\'' << verdict.chosen << '\'';
}

Verdict check_pieces(const std::vector<std::string_view>& pieces) {
  HeadParser parser;
  parser.start(HeadParser::Kind::response, {});
  for (const std::string_view piece : pieces) {
    const test::GuardPage page(piece);
    parser.feed(page.bytes());
  }
  if (parser.status() == HeadParser::Status::failed) return {parser.error(), ""};
  EXPECT_EQ(parser.status(), HeadParser::Status::done);
  std::string_view chosen = "stale";
  const auto fault = check_response(parser.response(), key, offered, chosen);
  return {fault, std::string(chosen)};
}

Verdict check(std::string_view text) {
  const Verdict whole = check_pieces({text});
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    EXPECT_EQ(check_pieces({text.substr(0, cut), text.substr(cut)}), whole) << text << cut;
  }
  return whole;
}

Verdict fails(Errc errc) { return {errc, ""}; }
Verdict opens(std::string protocol = "") { return {std::nullopt, std::move(protocol)}; }

TEST(HandshakeClient, Rfc6455_4_1_AcceptsAValid101) {
  EXPECT_EQ(check(good_answer()), opens());
  EXPECT_EQ(check(changed("101 Switching Protocols", "101")), opens());
  EXPECT_EQ(check(changed("101 Switching Protocols", "101 Web Socket Protocol Handshake")),
            opens());
  EXPECT_EQ(check(changed("Upgrade: websocket", "uPGRADE:\t WebSocket \t")), opens());
  EXPECT_EQ(check(changed("Connection: Upgrade", "connection: keep-alive, uPGRADE")), opens());
  EXPECT_EQ(check(changed("Connection: Upgrade", "Connection: a\r\nConnection: upgrade")), opens());
  EXPECT_EQ(check(with_line("Sec-WebSocket-Protocol: chat")), opens("chat"));
  EXPECT_EQ(check(with_line("sec-websocket-protocol:superchat")), opens("superchat"));
  EXPECT_EQ(check(with_line("Set-Cookie: a=b\r\nServer: x\r\nX-Empty:")), opens());
  EXPECT_EQ(check(good_answer() + "\x81\x05hello"), opens()) << "a frame in the same segment";
  // RFC 9112 §6.3: a 101 ends with its head, and Content-Length has no effect.
  EXPECT_EQ(check(with_line("Content-Length: 0")), opens());
}

TEST(HandshakeClient, Rfc6455_4_1_AStatusOtherThan101IsARefusal) {
  for (const char* status :
       {"100 Continue", "200 OK", "301 Moved", "403 Forbidden", "500", "999 x"}) {
    EXPECT_EQ(check(changed("101 Switching Protocols", status)), fails(Errc::upgrade_refused))
        << status;
  }
  EXPECT_EQ(check("HTTP/1.0 404 Not Found\r\n\r\n"), fails(Errc::upgrade_refused));
}

TEST(HandshakeClient, Rfc9110_15_2_InterimStatusesAre1xxBut101) {
  EXPECT_TRUE(is_interim(100));
  EXPECT_TRUE(is_interim(103));
  EXPECT_FALSE(is_interim(101));
  EXPECT_FALSE(is_interim(200));
  EXPECT_FALSE(is_interim(0));
}

TEST(HandshakeClient, Rfc6455_4_1_RejectsAnInvalid101) {
  const std::string accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  const std::string accept_line = "Sec-WebSocket-Accept: " + accept + "\r\n";
  const std::string protocol = "Sec-WebSocket-Protocol: ";
  const std::vector<std::pair<std::string, Errc>> cases{
      {changed("HTTP/1.1", "HTTP/1.0"), Errc::http_version_unsupported},
      {changed("HTTP/1.1", "HTTP/1.2"), Errc::http_version_unsupported},
      {changed("HTTP/1.1", "HTTP/2.0"), Errc::http_version_unsupported},
      {changed("HTTP/1.1", "HTTP/1,1"), Errc::http_malformed},
      {changed("Upgrade: websocket\r\n", ""), Errc::upgrade_header_invalid},
      {changed("Upgrade: websocket", "Upgrade:"), Errc::upgrade_header_invalid},
      {changed("Upgrade: websocket", "Upgrade: h2c"), Errc::upgrade_header_invalid},
      {changed("Upgrade: websocket", "Upgrade: websocket, h2c"), Errc::upgrade_header_invalid},
      {with_line("Upgrade: websocket"), Errc::upgrade_header_invalid},
      {changed("Connection: Upgrade\r\n", ""), Errc::upgrade_header_invalid},
      {changed("Connection: Upgrade", "Connection: close"), Errc::upgrade_header_invalid},
      {changed("Connection: Upgrade", "Connection: Upgrades"), Errc::upgrade_header_invalid},
      {changed(accept_line, ""), Errc::accept_invalid},
      {changed(accept, ""), Errc::accept_invalid},
      {changed(accept, "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="), Errc::accept_invalid},
      {changed(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"), Errc::accept_invalid},
      {changed(accept, accept + "="), Errc::accept_invalid},
      {changed(accept, std::string(key)), Errc::accept_invalid},
      {changed(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk="), Errc::accept_invalid},
      {with_line("Sec-WebSocket-Accept: " + accept), Errc::accept_invalid},
      {with_line("Sec-WebSocket-Extensions: permessage-deflate"), Errc::extension_not_offered},
      {with_line("Sec-WebSocket-Extensions:"), Errc::extension_not_offered},
      {with_line(protocol + "other"), Errc::protocol_not_offered},
      {with_line(protocol + "Chat"), Errc::protocol_not_offered},
      {with_line(protocol), Errc::protocol_not_offered},
      {with_line(protocol + "chat, superchat"), Errc::protocol_not_offered},
      {with_line(protocol + "chat\r\n" + protocol + "chat"), Errc::protocol_not_offered},
      {with_line("X : y"), Errc::http_malformed},
      {with_line("X: y\r\n folded"), Errc::http_malformed},
      {with_line("X: a\nb: c"), Errc::http_malformed},
      {with_line(std::string("X: a\0b", 6)), Errc::http_malformed},
  };
  for (const auto& [text, errc] : cases) EXPECT_EQ(check(text), fails(errc)) << text;
}

TEST(HandshakeClient, HeadOfAResponseIsBounded) {
  EXPECT_EQ(check_pieces({with_line("X: " + std::string(16384, 'a'))}), fails(Errc::head_too_big));
  std::string many;
  for (int i = 0; i < 98; ++i) many += "X: y\r\n";
  EXPECT_EQ(check_pieces({with_line(many + "X: y")}), fails(Errc::too_many_header_fields));
}

TEST(HandshakeClient, AnInvalidKeyOfOursNeverOpens) {
  std::string_view chosen;
  HeadParser parser;
  parser.start(HeadParser::Kind::response, {});
  const std::string text = good_answer();
  parser.feed(std::as_bytes(std::span(text)));
  EXPECT_EQ(check_response(parser.response(), "short", offered, chosen), Errc::no_memory);
}

std::optional<Errc> write(const ClientRequest& request, std::string* written = nullptr) {
  std::string out = "before|";
  const auto fault = write_request(out, request, key);
  if (fault) {
    EXPECT_EQ(out, "before|") << "nothing is appended on failure";
  }
  if (written) *written = out.substr(7);
  return fault;
}

TEST(HandshakeClient, Rfc6455_4_1_WritesTheRequest) {
  std::string text;
  EXPECT_EQ(write({.host = "example.org:9001",
                   .target = "/chat?a=b",
                   .protocols = offered,
                   .headers = {{"Origin", "https://example.org"}, {"Cookie", "a=b"}}},
                  &text),
            std::nullopt);
  EXPECT_EQ(text,
            "GET /chat?a=b HTTP/1.1\r\nHost: example.org:9001\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
            "Origin: https://example.org\r\nCookie: a=b\r\n\r\n");
  EXPECT_EQ(write({.host = "[::1]"}, &text), std::nullopt);
  EXPECT_TRUE(text.starts_with("GET / HTTP/1.1\r\nHost: [::1]\r\n")) << text;
}

TEST(HandshakeClient, RefusesAnInvalidRequest) {
  for (const char* host : {"", "a b", "a\r\nX: y", "u@a", "a:65536", "http://a", "::1"}) {
    EXPECT_EQ(write({.host = host}), Errc::url_invalid) << host;
  }
  for (const char* target : {"", "a", "/a b", "/a\r\nX: y", "/#a", "/\xC3\xA9", "*", "http://a/"}) {
    EXPECT_EQ(write({.host = "a", .target = target}), Errc::url_invalid) << target;
  }
  const std::vector<std::vector<std::string>> protocol_lists{
      {""}, {"a b"}, {"a,b"}, {"a", "b", "a"}, {"a\r\nX: y"}, {"\xC3\xA9"}};
  for (const auto& protocols : protocol_lists) {
    EXPECT_EQ(write({.host = "a", .protocols = protocols}), Errc::invalid_header) << protocols[0];
  }
  for (const char* name :
       {"", "A B", "A:", "X\r\nY", "Host", "hOST", "Connection", "upgrade", "Content-Length",
        "Transfer-Encoding", "Sec-WebSocket-Key", "sec-websocket-extensions"}) {
    EXPECT_EQ(write({.host = "a", .headers = {{name, "x"}}}), Errc::invalid_header) << name;
  }
  for (const char* value : {"a\nb", "a\rb", "\x01", "\x7F"}) {
    EXPECT_EQ(write({.host = "a", .headers = {{"X", value}}}), Errc::invalid_header);
  }
}

TEST(HandshakeClient, ClientAcceptsWhatTheServerAnswers) {
  std::string request_text;
  ASSERT_EQ(write({.host = "example.org",
                   .protocols = offered,
                   .headers = {{"Origin", "http://example.org"}}},
                  &request_text),
            std::nullopt);
  HeadParser parser;
  parser.start(HeadParser::Kind::request, {});
  ASSERT_EQ(parser.feed(std::as_bytes(std::span(request_text))), request_text.size());
  const Request request = parser.request();
  http::BodyFraming framing;
  ASSERT_EQ(check_request(request, framing), std::nullopt);
  ASSERT_EQ(check_upgrade(request, {}), std::nullopt);
  const std::vector<std::string> known{"superchat"};
  std::string answer_text;
  ASSERT_EQ(write_accept(answer_text, request, choose_protocol(request, known), {}), std::nullopt);
  EXPECT_EQ(check(answer_text), opens("superchat"));
}

}  // namespace
}  // namespace tern::handshake
