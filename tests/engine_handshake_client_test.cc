// The opening handshake of a client (RFC 6455 §4.1): its request, and the answers that it accepts.
#include "support/engine_table.h"

#include <functional>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

struct Client : Peer {
  explicit Client(ClientRequest request = {.host = "example.org:9001", .target = "/echo?a=b"})
      : Peer(Role::client, {}, Start::handshake, std::move(request)) {}
};

std::string with(std::string text, std::string_view old, std::string_view now) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, text.npos) << old;
  return at == text.npos ? text : text.replace(at, old.size(), now);
}

std::string without(std::string text, std::string_view line) {
  const std::size_t at = text.find(line);
  EXPECT_NE(at, text.npos) << line;
  return text.erase(at, text.find("\r\n", at) + 2 - at);
}

// ---- the request

TEST(EngineHandshakeClient, Rfc6455_4_1_SendsAValidRequest) {
  Client client({.host = "example.org:9001",
                 .target = "/echo?a=b",
                 .protocols = {"chat", "superchat"},
                 .headers = {{"Origin", "https://example.org"}, {"Cookie", "a=b"}}});
  const std::string& head = client.head();
  EXPECT_TRUE(head.starts_with("GET /echo?a=b HTTP/1.1\r\n")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_EQ(head.find("\r\n\r\n"), head.size() - 4);
  EXPECT_EQ(field(head, "Host"), "example.org:9001");
  EXPECT_EQ(field(head, "Upgrade"), "websocket");
  EXPECT_EQ(field(head, "Connection"), "Upgrade");
  EXPECT_EQ(field(head, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(field(head, "Sec-WebSocket-Protocol"), "chat, superchat");
  EXPECT_EQ(field(head, "Sec-WebSocket-Extensions"), "(absent)");
  EXPECT_EQ(field(head, "Origin"), "https://example.org");
  EXPECT_EQ(field(head, "Cookie"), "a=b");
  const std::string key = field(head, "Sec-WebSocket-Key");
  ASSERT_EQ(key.size(), 24u);
  EXPECT_TRUE(key.ends_with("=="));
  EXPECT_EQ(key.find('='), 22u);
  EXPECT_FALSE(client.engine().is_open());
  EXPECT_EQ(client.engine().send(std::string_view("early")), SendStatus::closed);
}

TEST(EngineHandshakeClient, Rfc6455_4_1_EachKeyIsNew) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.insert(field(Client().head(), "Sec-WebSocket-Key"));
  EXPECT_EQ(keys.size(), 100u);
}

TEST(EngineHandshakeClient, RefusesAnInvalidRequest) {
  const std::vector<ClientRequest> table = {
      {.host = "example.org", .headers = {{"A", "b\r\nC: d"}}},
      {.host = "example.org", .headers = {{"A b", "c"}}},
      {.host = "example.org", .headers = {{"", "c"}}},
      {.host = "example.org", .headers = {{"Host", "evil"}}},
      {.host = "example.org", .headers = {{"upgrade", "x"}}},
      {.host = "example.org", .headers = {{"Sec-WebSocket-Key", "x"}}},
      {.host = "example.org", .headers = {{"Content-Length", "5"}}},
      {.host = "example.org", .target = "/a b"},
      {.host = "example.org", .target = "/a\r\nX: y"},
      {.host = "example.org", .target = "no-slash"},
      {.host = "exa\r\nmple.org"},
      {.host = "example.org", .protocols = {"a b"}},
      {.host = "example.org", .protocols = {"a", "a,b"}},
  };
  for (std::size_t row = 0; row < table.size(); ++row) {
    const EngineOptions options;
    Workspace workspace;
    const auto engine = Engine::client(table[row], options, workspace);
    ASSERT_FALSE(engine) << row;
    const bool address = table[row].headers.empty() && table[row].protocols.empty();
    EXPECT_EQ(engine.error().code(), address ? Errc::url_invalid : Errc::invalid_header) << row;
  }
}

// ---- the answer

TEST(EngineHandshakeClient, Rfc6455_4_1_ReadsAnswerAndFramesCutAnywhere) {
  const std::vector<Frame> frames = {text("first"), ping("p"), binary(std::string(300, 'b'))};
  const Strings events = {"open", "text first", "ping p", to_string(binary(std::string(300, 'b')))};
  const std::size_t size = [&] {
    Client client;
    return upgrade_answer(client.head()).size() + wire(Role::server, frames).size();
  }();
  for (std::size_t cut = 0; cut <= size; ++cut) {
    Client client;
    const std::string bytes = upgrade_answer(client.head()) + wire(Role::server, frames);
    client.receive(bytes.substr(0, cut));
    client.receive(bytes.substr(cut));
    ASSERT_EQ(client.events(), events) << cut;
  }
  Client client;
  client.stash_every = 1;
  client.receive(upgrade_answer(client.head()) + wire(Role::server, frames));
  EXPECT_EQ(client.events(), events);
  client.frames();
  expect_orderly_end(client);
}

TEST(EngineHandshakeClient, Rfc6455_4_1_TheResponseCanBeReadAtOpen) {
  Client client({.host = "example.org", .protocols = {"chat", "superchat"}});
  client.on_event = [&](Event event) {
    if (event.kind() != Event::Kind::open) return;
    const ResponseHead& response = client.engine().response();
    EXPECT_EQ(response.status, 101);
    EXPECT_EQ(response.header("x-served-BY"), "me");
    EXPECT_EQ(client.engine().protocol(), "superchat");
    client.engine().stash();  // a driver that stops here keeps no head
    EXPECT_EQ(client.engine().response().status, 0);
  };
  client.upgrade("Sec-WebSocket-Protocol: superchat\r\nX-Served-By:  me \r\n");
  EXPECT_EQ(client.events(), Strings{"open"});
  client.receive(text("Hello"));
  EXPECT_EQ(client.engine().protocol(), "superchat");
}

using Change = std::function<std::string(std::string)>;

TEST(EngineHandshakeClient, Rfc6455_4_1_AcceptsEveryValidAnswer) {
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
  const std::vector<Change> table = {
      [](std::string a) { return with(a, "Switching Protocols", ""); },
      [](std::string a) { return with(a, "Upgrade: websocket", "UPGRADE: WebSocket"); },
      [](std::string a) {
        return with(a, "Connection: Upgrade", "connection:\tkeep-alive,upgrade ");
      },
      [](std::string a) { return with(a, "Sec-WebSocket-Accept: ", "sec-websocket-accept:\t "); },
      [&](std::string a) { return hints + a; },
      [&](std::string a) { return hints + "HTTP/1.1 100 Continue\r\n\r\n" + hints + a; },
  };
  for (std::size_t row = 0; row < table.size(); ++row) {
    for (const std::size_t step : {Peer::all, std::size_t{1}}) {
      Client client;
      client.receive(table[row](upgrade_answer(client.head())), step);
      EXPECT_EQ(client.events(), Strings{"open"}) << row;
      EXPECT_TRUE(client.engine().is_open()) << row;
    }
  }
}

TEST(EngineHandshakeClient, Rfc9110_15_2_SkipsAtMost16InterimAnswers) {
  std::string interim;
  for (int i = 0; i < 16; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  for (const std::size_t step : {Peer::all, std::size_t{1}}) {
    Client client;
    client.receive(interim, step);
    client.upgrade();
    EXPECT_TRUE(client.engine().is_open());

    Client flooded;
    flooded.receive(interim + "HTTP/1.1 103 X\r\n\r\n", step);
    ASSERT_TRUE(flooded.dead());
    EXPECT_EQ(flooded.ending(),
              (Ending{.code = 1006, .error = Errc::http_malformed, .opened = false}));
    EXPECT_EQ(flooded.engine().explanation(), "the server sent too many interim answers");
  }
}

struct BadAnswer {
  const char* rfc;
  Change change;
  Errc error;
};

std::vector<BadAnswer> bad_answers() {
  const auto more = [](const std::string& line) {
    return [line](std::string a) { return a.insert(a.size() - 2, line); };
  };
  const std::string big(20'000, 'a');
  return {
      {"no Accept", [](std::string a) { return without(a, "Sec-WebSocket-Accept"); },
       Errc::accept_invalid},
      {"wrong Accept", [](std::string a) { return with(a, "Accept: ", "Accept: x"); },
       Errc::accept_invalid},
      {"Accept of another key",
       [](std::string a) {
         return without(a, "Sec-WebSocket-Accept")
             .insert(34, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
       },
       Errc::accept_invalid},
      {"no Upgrade", [](std::string a) { return without(a, "Upgrade"); },
       Errc::upgrade_header_invalid},
      {"Upgrade to h2c", [](std::string a) { return with(a, "websocket", "h2c"); },
       Errc::upgrade_header_invalid},
      {"no Connection", [](std::string a) { return without(a, "Connection"); },
       Errc::upgrade_header_invalid},
      {"Connection: close",
       [](std::string a) { return with(a, "Connection: Upgrade", "Connection: close"); },
       Errc::upgrade_header_invalid},
      {"an extension", more("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
       Errc::extension_not_offered},
      {"a subprotocol", more("Sec-WebSocket-Protocol: chat\r\n"), Errc::protocol_not_offered},
      {"HTTP/1.0", [](std::string a) { return with(a, "HTTP/1.1", "HTTP/1.0"); },
       Errc::http_version_unsupported},
      {"HTTP/2", [](std::string a) { return with(a, "HTTP/1.1", "HTTP/2.0"); },
       Errc::http_version_unsupported},
      {"bare LF", [](std::string a) { return with(a, "\r\nUpgrade", "\nUpgrade"); },
       Errc::http_malformed},
      {"no status", [](std::string a) { return with(a, " 101 ", " "); }, Errc::http_malformed},
      {"status of four digits", [](std::string a) { return with(a, "101", "1010"); },
       Errc::http_malformed},
      {"folded line", more(" folded\r\n"), Errc::http_malformed},
      {"not HTTP", [](std::string) { return std::string("SSH-2.0-OpenSSH_9.2\r\n\r\n"); },
       Errc::http_malformed},
      {"head too big", more("A: " + big + "\r\n"), Errc::head_too_big},
  };
}

TEST(EngineHandshakeClient, Rfc6455_4_1_RejectsAnInvalidAnswer) {
  for (const BadAnswer& row : bad_answers()) {
    for (const std::size_t step : {Peer::all, std::size_t{1}}) {
      SCOPED_TRACE(std::string(row.rfc) + (step == 1 ? ", byte by byte" : ""));
      Client client;
      const std::size_t written = client.written().size();
      client.receive(row.change(upgrade_answer(client.head())) + wire(Role::server, text("x")),
                     step);
      EXPECT_EQ(client.events(), Strings{"closed"});
      ASSERT_TRUE(client.dead());
      EXPECT_EQ(client.ending(), (Ending{.code = 1006, .error = row.error, .opened = false}));
      EXPECT_EQ(client.written().size(), written) << "a failed handshake sends nothing more";
    }
  }
}

TEST(EngineHandshakeClient, Rfc6455_4_1_RejectsASubprotocolThatWasNotOffered) {
  for (const char* chosen : {"other", "CHAT", "chat, superchat", ""}) {
    Client client({.host = "example.org", .protocols = {"chat", "superchat"}});
    client.upgrade("Sec-WebSocket-Protocol: " + std::string(chosen) + "\r\n");
    ASSERT_TRUE(client.dead()) << chosen;
    EXPECT_EQ(client.ending().error, Errc::protocol_not_offered) << chosen;
  }
  Client none({.host = "example.org", .protocols = {"chat"}});
  none.upgrade();
  EXPECT_TRUE(none.engine().is_open()) << "a server may choose none";
  EXPECT_EQ(none.engine().protocol(), "");
}

TEST(EngineHandshakeClient, Rfc6455_5_1_RejectsAMaskedFrameBehindTheAnswer) {
  Client client;
  client.receive(upgrade_answer(client.head()) + wire(Role::client, text("x")));
  EXPECT_EQ(client.events(), (Strings{"open", "closed"}));
  expect_failed(client, {}, Errc::frame_masked);
}

// ---- a refusal

struct Refused {
  const char* name;
  std::string answer;
  int status;
  std::string body;
  bool eof = false;  // the body ends only with the FIN
};

std::vector<Refused> refused() {
  const std::string kib(1024, 'b');
  return {
      {"403", "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 5\r\n\r\nno go", 403,
       "no go"},
      {"empty", "HTTP/1.1 404 Not Found\r\nX-Why: because\r\nContent-Length: 0\r\n\r\n", 404, ""},
      {"until EOF", "HTTP/1.1 500 Oops\r\nX-Why: because\r\n\r\nbroken", 500, "broken", true},
      {"cut short", "HTTP/1.1 500 Oops\r\nX-Why: because\r\nContent-Length: 50\r\n\r\nbro", 500,
       "bro", true},
      {"exactly 1 KiB", "HTTP/1.1 401 No\r\nX-Why: because\r\nContent-Length: 1024\r\n\r\n" + kib,
       401, kib},
      {"longer", "HTTP/1.1 401 No\r\nX-Why: because\r\nContent-Length: 1000000\r\n\r\n" + kib + kib,
       401, kib},
      {"endless", "HTTP/1.1 200 OK\r\nX-Why: because\r\n\r\n" + kib + "more", 200, kib},
      {"redirect",
       "HTTP/1.1 301 Moved\r\nX-Why: because\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 301, ""},
      {"behind hints",
       "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 503 Busy\r\nX-Why: because\r\nContent-Length: 0\r\n\r\n",
       503, ""},
  };
}

TEST(EngineHandshakeClient, Rfc6455_4_1_ARefusalKeepsStatusFieldsAndBody) {
  for (const Refused& row : refused()) {
    for (const std::size_t step : {Peer::all, std::size_t{1}, std::size_t{100}}) {
      SCOPED_TRACE(row.name);
      Client client;
      client.on_event = [&](Event event) {
        ASSERT_EQ(event.kind(), Event::Kind::closed);
        EXPECT_EQ(client.engine().response().status, row.status);
        EXPECT_EQ(client.engine().response().header("X-Why"), "because");
        EXPECT_EQ(client.engine().response_body(), row.body);
      };
      client.receive(row.answer, step);
      EXPECT_EQ(client.saw_closed(), !row.eof);
      client.receive_eof();
      ASSERT_TRUE(client.dead());
      EXPECT_EQ(client.ending(),
                (Ending{.code = 1006, .error = Errc::upgrade_refused, .opened = false}));
    }
  }
}

// ---- TCP ends

TEST(EngineHandshakeClient, AnEofInsideTheAnswerEndsTheHandshake) {
  const std::size_t size = upgrade_answer(Client().head()).size();
  for (std::size_t cut = 0; cut < size; ++cut) {
    Client client;
    client.receive(upgrade_answer(client.head()).substr(0, cut));
    client.receive_eof();
    ASSERT_TRUE(client.dead()) << cut;
    EXPECT_EQ(client.ending(),
              (Ending{.code = 1006, .error = Errc::end_of_stream, .opened = false}));
  }
}

TEST(EngineHandshakeClient, AnEndBeforeOpenReportsOpenedFalse) {
  const auto reset = std::make_error_code(std::errc::connection_reset);
  Client failed;
  failed.receive_error(reset);
  ASSERT_TRUE(failed.dead());
  EXPECT_EQ(failed.ending(), (Ending{.code = 1006, .error = reset, .opened = false}));

  Client terminated;
  terminated.engine().terminate(Errc::terminated);
  terminated.turn();
  ASSERT_TRUE(terminated.dead());
  EXPECT_EQ(terminated.ending(),
            (Ending{.code = 1006, .error = Errc::terminated, .opened = false}));

  Client closed;
  closed.engine().ping();
  closed.engine().close(CloseCode::normal);
  closed.turn();
  ASSERT_TRUE(closed.dead());
  EXPECT_EQ(closed.frames(), Strings{});
  EXPECT_FALSE(closed.ending().opened);
  EXPECT_FALSE(closed.ending().clean);
}

}  // namespace
}  // namespace tern::test
