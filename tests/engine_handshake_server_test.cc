// The opening handshake of a server, RFC 6455 §4.2 and RFC 9112.
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

struct Server : Peer {
  explicit Server(EngineOptions options = {})
      : Peer(Role::server, std::move(options), Start::handshake) {}
};

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t result = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++result;
  return result;
}

// ---- 101

TEST(EngineHandshakeServer, Rfc6455_4_2_2_AcceptAnswers101) {
  Server server;
  server.accepts = false;
  server.receive(upgrade_request("Cookie: a=b\r\n", "/chat?room=7"));
  EXPECT_EQ(server.events(), Strings{"request GET /chat?room=7"});
  EXPECT_EQ(server.head(), "");
  const Request& request = server.engine().request();
  EXPECT_EQ(request.path(), "/chat");
  EXPECT_EQ(request.query("room"), "7");
  EXPECT_EQ(request.cookie("a"), "b");
  EXPECT_EQ(request.header("host"), "example.org");
  EXPECT_EQ(server.engine().upgrade_error(), std::error_code());
  EXPECT_FALSE(server.engine().is_open());
  EXPECT_EQ(server.engine().send(std::string_view("early")), SendStatus::closed);

  EXPECT_EQ(server.engine().accept(), std::error_code());
  EXPECT_TRUE(server.engine().is_open());
  EXPECT_EQ(server.engine().accept(), Errc::closed) << "the request is answered already";
  EXPECT_EQ(server.engine().respond(Response::text("x")), Errc::closed);
  server.turn();
  EXPECT_EQ(server.events(), Strings{"open"});
  const std::string& head = server.head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_EQ(field(head, "Upgrade"), "websocket");
  EXPECT_EQ(field(head, "Connection"), "Upgrade");
  EXPECT_EQ(field(head, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(field(head, "Sec-WebSocket-Protocol"), "(absent)");
  EXPECT_EQ(field(head, "Sec-WebSocket-Extensions"), "(absent)");
  EXPECT_EQ(field(head, "Content-Length"), "(absent)");
  server.receive(text("Hello"));
  EXPECT_EQ(server.frames(), Strings{"text Hello"});
  expect_orderly_end(server);
}

TEST(EngineHandshakeServer, Rfc6455_4_2_1_ReadsRequestAndFramesCutAnywhere) {
  const std::string bytes = upgrade_request() + wire(Role::client, {text("first"), ping("p"),
                                                                    binary(std::string(300, 'b'))});
  const Strings events = {"request GET /echo", "open", "text first", "ping p",
                          to_string(binary(std::string(300, 'b')))};
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Server server;
    server.receive(bytes.substr(0, cut));
    server.receive(bytes.substr(cut));
    ASSERT_EQ(server.events(), events) << cut;
  }
  for (const std::size_t stash : {1u, 2u, 3u}) {
    Server server;
    server.stash_every = stash;
    server.receive(bytes, stash == 3 ? 1 : Peer::all);
    EXPECT_EQ(server.events(), events);
    server.frames();
    expect_orderly_end(server);
  }
}

TEST(EngineHandshakeServer, Rfc6455_4_2_2_ChoosesTheFirstKnownSubprotocol) {
  struct Row {
    const char* offered;
    std::vector<std::string> known;
    const char* chosen;
  };
  const std::vector<Row> table = {
      {"Sec-WebSocket-Protocol: chat, superchat\r\n", {"superchat", "chat"}, "chat"},
      {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", {"b"}, "b"},
      {"Sec-WebSocket-Protocol: a, b\r\n", {"c"}, ""},
      {"Sec-WebSocket-Protocol: a, b\r\n", {}, ""},
      {"Sec-WebSocket-Protocol: Chat\r\n", {"chat"}, ""},  // compared case-sensitively
      {"", {"chat"}, ""},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.offered);
    Server server;
    server.accepts = false;
    server.receive(upgrade_request(row.offered));
    EXPECT_EQ(server.engine().accept({.protocols = row.known}), std::error_code());
    server.turn();
    EXPECT_EQ(server.engine().protocol(), row.chosen);
    const std::string chosen = *row.chosen == '\0' ? "(absent)" : row.chosen;
    EXPECT_EQ(field(server.head(), "Sec-WebSocket-Protocol"), chosen);
  }
}

TEST(EngineHandshakeServer, WritesOnlyValidFieldsOfTheApplication) {
  Server server;
  server.accepts = false;
  server.receive(upgrade_request());
  EXPECT_EQ(server.engine().accept({.headers = {{"Set-Cookie", "a=b"}, {"X-Y", "z"}}}),
            std::error_code());
  server.turn();
  EXPECT_EQ(field(server.head(), "Set-Cookie"), "a=b");
  EXPECT_EQ(field(server.head(), "X-Y"), "z");

  const std::vector<std::pair<std::string, std::string>> bad = {
      {"X", "a\r\nY: b"},  {"X", std::string("\0", 1)},  {"a b", "c"}, {"", "c"}, {"Upgrade", "x"},
      {"connection", "x"}, {"Sec-WebSocket-Accept", "x"}};
  for (const auto& header : bad) {
    SCOPED_TRACE(header.first);
    Server refused;
    refused.accepts = false;
    refused.receive(upgrade_request());
    EXPECT_EQ(refused.engine().accept({.headers = {{"X-Good", "1"}, header}}),
              Errc::invalid_header);
    refused.turn();
    EXPECT_TRUE(refused.written().starts_with("HTTP/1.1 500 ")) << refused.written();
    EXPECT_EQ(field(refused.written(), "X-Good"), "(absent)")
        << "no field of a refused accept() is sent";
    ASSERT_TRUE(refused.dead());
    EXPECT_EQ(refused.ending().error, Errc::invalid_header);
  }
}

// ---- refusals

struct Refusal {
  const char* rfc;
  std::string request;
  Errc error;
  int status;
  const char* with_field = "Connection";
  const char* value = "close";
};

std::string without(std::string text, std::string_view line) {
  const std::size_t at = text.find(line);
  EXPECT_NE(at, text.npos) << line;
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

std::string with(std::string text, std::string_view old, std::string_view now) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, text.npos) << old;
  return text.replace(at, old.size(), now);
}

std::vector<Refusal> refusals() {
  const std::string good = upgrade_request();
  const auto more = [](const std::string& lines) { return upgrade_request(lines); };
  std::string many;
  for (int i = 0; i < 96; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  const std::string key = "Sec-WebSocket-Key: ";
  return {
      {"4.2.1 plain GET", page_request(), Errc::upgrade_required, 426, "Upgrade", "websocket"},
      {"4.2.1 POST", with(good, "GET", "POST"), Errc::method_not_allowed, 405, "Allow", "GET"},
      {"4.2.1 Upgrade to h2c", with(good, "websocket", "h2c"), Errc::upgrade_required, 426},
      {"4.2.1 no Connection", without(good, "Connection"), Errc::upgrade_header_invalid, 400},
      {"4.2.1 Connection: close", with(good, "Connection: Upgrade", "Connection: close"),
       Errc::upgrade_header_invalid, 400},
      {"4.2.1 no key", without(good, key), Errc::key_invalid, 400},
      {"4.2.1 two keys", more(key + "dGhlIHNhbXBsZSBub25jZQ==\r\n"), Errc::key_invalid, 400},
      {"4.2.1 short key", with(good, "jZQ==", "j"), Errc::key_invalid, 400},
      {"4.2.1 key without padding", with(good, "Q==", "Q"), Errc::key_invalid, 400},
      {"4.2.1 key not base64", with(good, "dGhl", "d-hl"), Errc::key_invalid, 400},
      {"4.4 version 8", with(good, "Version: 13", "Version: 8"), Errc::version_unsupported, 426,
       "Sec-WebSocket-Version", "13"},
      {"10.2 other origin", more("Origin: https://evil.example\r\n"), Errc::origin_refused, 403},
      {"10.2 null origin", more("Origin: null\r\n"), Errc::origin_refused, 403},
      {"4.1 protocol list", more("Sec-WebSocket-Protocol: a b\r\n"), Errc::protocol_list_invalid,
       400},
      {"9.1 extension list", more("Sec-WebSocket-Extensions: a;;b\r\n"),
       Errc::extension_list_invalid, 400},
      {"9112 no Host", without(good, "Host"), Errc::host_invalid, 400},
      {"9112 two Hosts", more("Host: example.org\r\n"), Errc::host_invalid, 400},
      {"9112 body", more("Content-Length: 5\r\n"), Errc::request_with_body, 400},
      {"9112 chunked", more("Transfer-Encoding: chunked\r\n"), Errc::request_with_body, 400},
      {"9112 6.3 both", more("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
       Errc::http_malformed, 400},
      {"9112 6.3 two lengths", more("Content-Length: 0\r\nContent-Length: 0\r\n"),
       Errc::http_malformed, 400},
      {"9112 6.1 of HTTP/1.0", with(more("Transfer-Encoding: chunked\r\n"), "HTTP/1.1", "HTTP/1.0"),
       Errc::http_malformed, 400},
      {"9112 6.1 coding", more("Transfer-Encoding: gzip, chunked\r\n"),
       Errc::transfer_coding_unsupported, 501},
      {"9110 HTTP/1.0", with(good, "HTTP/1.1", "HTTP/1.0"), Errc::upgrade_required, 426},
      {"9112 HTTP/2.0", with(good, "HTTP/1.1", "HTTP/2.0"), Errc::http_version_unsupported, 505},
      {"9112 bare LF", with(good, "\r\nHost", "\nHost"), Errc::http_malformed, 400},
      {"9112 folded line", more(" folded\r\n"), Errc::http_malformed, 400},
      {"9112 space before the colon", more("A : b\r\n"), Errc::http_malformed, 400},
      {"9112 NUL", more(std::string("A: \0\r\n", 6)), Errc::http_malformed, 400},
      {"9112 target", with(good, "/echo", "echo"), Errc::http_malformed, 400},
      {"9112 nonsense", "\x16\x03\x01\x02 TLS?\r\n\r\n", Errc::http_malformed, 400},
      {"request line", "GET /" + std::string(8192, 'a'), Errc::request_line_too_long, 414},
      {"head", "GET / HTTP/1.1\r\nA: " + std::string(16'384, 'a'), Errc::head_too_big, 431},
      {"101 fields", more(many), Errc::too_many_header_fields, 431},
  };
}

TEST(EngineHandshakeServer, Rfc6455_4_2_2_RefusalsEndTheConnection) {
  for (const Refusal& row : refusals()) {
    for (const std::size_t step : {Peer::all, std::size_t{1}}) {
      SCOPED_TRACE(std::string(row.rfc) + (step == 1 ? ", byte by byte" : ""));
      Server server;
      std::error_code answer;
      server.accepts = false;
      server.on_event = [&](Event event) {
        if (event.kind() != Event::Kind::request) return;
        EXPECT_EQ(server.engine().upgrade_error(), row.error);
        answer = server.engine().accept();
        EXPECT_EQ(answer, row.error);
      };
      // Bytes behind a refused request are never parsed, so a request cannot be smuggled.
      server.receive(row.request + page_request("/smuggled") + wire(Role::client, text("x")), step);
      server.receive(page_request("/smuggled"));
      ASSERT_TRUE(server.dead());
      const std::string& written = server.written();
      EXPECT_TRUE(written.starts_with("HTTP/1.1 " + std::to_string(row.status) + " ")) << written;
      EXPECT_EQ(field(written, "Connection").find("close"), 0u) << written;
      if (row.value != std::string_view("close")) {
        EXPECT_NE(field(written, row.with_field).find(row.value), std::string::npos) << written;
      }
      EXPECT_EQ(count(written, "HTTP/1.1 "), 1u);
      EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = row.error, .opened = false}));
      for (const std::string& event : server.events()) EXPECT_NE(event, "request GET /smuggled");
    }
  }
}

TEST(EngineHandshakeServer, Rfc6455_10_2_TheOriginFollowsWhatAProxyTells) {
  const struct {
    bool secure;  // this server has TLS
    std::optional<Reached> how;
    std::string origin;
    bool passes;
    bool is_secure;
  } rows[] = {
      {false, {}, "http://example.org", true, false},
      {true, {}, "https://example.org", true, true},
      {false, Reached{}, "https://example.org", true, false},
      {true, Reached{}, "http://example.org", false, true},
      {false, Reached{.secure = true}, "https://example.org", true, true},
      {false, Reached{.secure = true}, "https://example.org:444", false, true},
      {true, Reached{.secure = false}, "http://example.org", true, false},
      {false, Reached{.host = "h:1", .secure = true}, "https://h:1", true, true},
      {false, Reached{.host = "h", .may_lack_port = true}, "https://h:1", true, false},
      {false, Reached{.host = "h", .may_lack_port = true}, "https://example.org", false, false},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.origin);
    Server server({.secure = row.secure});
    server.accepts = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      if (row.how) server.engine().reached(*row.how);
      const Request& request = server.engine().request();
      EXPECT_EQ(request.is_secure(), row.is_secure);
      EXPECT_EQ(request.host(), row.how && !row.how->host.empty() ? row.how->host : "example.org");
      EXPECT_EQ(!server.engine().accept(), row.passes);
      server.engine().reached({});  // too late: does nothing
    };
    server.receive(upgrade_request("Origin: " + row.origin + "\r\n"));
    EXPECT_EQ(server.written().starts_with("HTTP/1.1 101 "), row.passes) << server.written();
  }
}

TEST(EngineHandshakeServer, Rfc6455_4_2_1_AcceptsEveryValidRequest) {
  const std::string good = upgrade_request();
  std::string many;
  for (int i = 0; i < 95; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  const std::vector<std::string> table = {
      with(good, "Connection: Upgrade", "CONNECTION:keep-alive ,\tuPgRaDe"),
      with(good, "Connection: Upgrade", "Connection: a\r\nConnection: Upgrade"),
      with(good, "Upgrade: websocket", "upgrade: h2c, WebSocket"),
      with(good, "Host: ", "hOST:  \t "),
      with(good, "/echo", "/echo?a=%20&b"),
      upgrade_request("Origin: http://EXAMPLE.org\r\n"),
      upgrade_request("Content-Length: 0\r\n"),
      upgrade_request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
      upgrade_request(many),
  };
  for (const std::string& request : table) {
    SCOPED_TRACE(request.substr(0, 200));
    Server server;
    server.receive(request);
    ASSERT_TRUE(server.engine().is_open()) << server.written();
    EXPECT_EQ(field(server.head(), "Sec-WebSocket-Extensions"), "(absent)");
  }
}

// ---- waiting for a decision

TEST(EngineHandshakeServer, FramesAreHeldWhileTheDecisionIsPending) {
  Server server;
  server.accepts = false;
  server.receive(upgrade_request() + wire(Role::client, text("with the request")));
  Strings expected{"text with the request"};
  std::size_t behind = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string payload(4'000, static_cast<char>('a' + i % 26));
    const std::string bytes = wire(Role::client, text(payload));
    behind += bytes.size();
    server.receive(bytes);
    expected.push_back(to_string(text(payload)));
  }
  EXPECT_FALSE(server.engine().wants_input());
  EXPECT_GE(behind - server.unread(), std::size_t{64} << 10) << "64 KiB must fit";
  EXPECT_LE(behind - server.unread(), std::size_t{69} << 10) << "no read follows after 64 KiB";
  EXPECT_EQ(server.events(), Strings{"request GET /echo"});
  EXPECT_EQ(server.engine().request().path(), "/echo") << "the view is valid until the answer";
  server.engine().accept();
  server.turn();
  EXPECT_EQ(server.unread(), 0u);
  Strings events = server.events();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front(), "open");
  events.erase(events.begin());
  EXPECT_EQ(events, expected);
  EXPECT_EQ(server.frames(), expected);
}

TEST(EngineHandshakeServer, AnEofWhileTheDecisionIsPendingEnds) {
  Server server;
  server.accepts = false;
  server.receive(upgrade_request());
  server.receive_eof();
  EXPECT_EQ(server.events(), (Strings{"request GET /echo", "closed"}));
  EXPECT_EQ(server.engine().accept(), Errc::closed);
  EXPECT_EQ(server.engine().respond(Response::text("x")), Errc::closed);
  server.turn();
  EXPECT_EQ(server.written(), "");
  EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = Errc::end_of_stream, .opened = false}));
}

TEST(EngineHandshakeServer, AnEndBeforeOpenReportsOpenedFalse) {
  Server deciding;
  deciding.accepts = false;
  deciding.receive(upgrade_request());
  deciding.engine().close(CloseCode::going_away);
  deciding.turn();
  EXPECT_TRUE(deciding.written().starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(field(deciding.written(), "Retry-After"), "1");
  EXPECT_EQ(field(deciding.written(), "Connection"), "close");
  EXPECT_TRUE(deciding.dead());
  EXPECT_FALSE(deciding.ending().opened);

  Server opening;
  opening.receive("GET / HT");
  opening.engine().close(CloseCode::going_away);
  opening.turn();
  EXPECT_TRUE(opening.dead());
  EXPECT_EQ(opening.events(), Strings{"closed"});
  EXPECT_FALSE(opening.ending().opened);

  Server terminated;
  terminated.accepts = false;
  terminated.receive(upgrade_request());
  terminated.engine().terminate(Errc::terminated);
  terminated.turn();
  EXPECT_TRUE(terminated.dead());
  EXPECT_EQ(terminated.written(), "");
  EXPECT_EQ(terminated.ending(),
            (Ending{.code = 1006, .error = Errc::terminated, .opened = false}));
}

TEST(EngineHandshakeServer, AnEofInsideTheRequestEndsTheHandshake) {
  const std::string request = upgrade_request();
  for (std::size_t size = 0; size < request.size(); ++size) {
    Server server;
    server.receive(request.substr(0, size));
    server.receive_eof();
    ASSERT_TRUE(server.dead()) << size;
    EXPECT_EQ(server.written(), "");
    EXPECT_EQ(server.ending(),
              (Ending{.code = 1006, .error = Errc::end_of_stream, .opened = false}));
  }
}

}  // namespace
}  // namespace tern::test
