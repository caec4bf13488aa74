// Plain HTTP requests before an upgrade, on the same connection (RFC 9112 §9).
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

struct Server : Peer {
  explicit Server(EngineOptions options = {})
      : Peer(Role::server, std::move(options), Start::handshake) {}
};

// Answers each request with `answer`.
void serve(Server& server, Response answer = Response::text("page")) {
  server.accepts = false;
  server.on_event = [&server, answer](Event event) {
    if (event.kind() == Event::Kind::request) server.engine().respond(answer);
  };
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t result = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++result;
  return result;
}

std::string with(std::string text, std::string_view old, std::string_view now) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, text.npos) << old;
  return text.replace(at, old.size(), now);
}

TEST(EnginePages, Rfc9112_9_3_AnUpgradeMayFollowPages) {
  const std::string bytes = page_request("/a") + page_request("/b") + page_request("/c", "HEAD") +
                            upgrade_request() + wire(Role::client, text("Hello"));
  for (const std::size_t step : {Peer::all, std::size_t{1}, std::size_t{7}}) {
    Server server;
    server.accepts = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      if (server.engine().request().path() == "/echo") {
        server.engine().accept();
      } else {
        server.engine().respond(
            Response::text("page " + std::string(server.engine().request().path())));
      }
    };
    server.receive(bytes, step);
    EXPECT_EQ(server.events(), (Strings{"request GET /a", "request GET /b", "request HEAD /c",
                                        "request GET /echo", "open", "text Hello"}));
    const std::string& head = server.head();
    EXPECT_EQ(count(head, "HTTP/1.1 200 OK\r\n"), 3u);
    EXPECT_EQ(count(head, "\r\n\r\npage /aHTTP/1.1"), 1u) << head;
    EXPECT_EQ(count(head, "page /c"), 0u) << "an answer to HEAD has no body";
    EXPECT_EQ(count(head, "Content-Length: 7\r\n"), 3u);
    EXPECT_EQ(count(head, "Connection: close"), 0u);
    EXPECT_EQ(server.frames(), Strings{"text Hello"});
  }
}

TEST(EnginePages, Rfc9112_9_6_OnlyAPlainHttp11PageKeepsTheConnection) {
  struct Row {
    const char* why;
    std::string request;
    Response answer;
  };
  const std::vector<Row> table = {
      {"an error", page_request(), Response::status(404)},
      {"Connection: close", with(page_request(), "\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
       Response::text("page")},
      {"a refused upgrade", upgrade_request(), Response::text("page")},
      {"HTTP/1.0", with(page_request(), "HTTP/1.1", "HTTP/1.0"), Response::text("page")},
      {"HTTP/1.0 with keep-alive",
       with(page_request(), "HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n"),
       Response::text("page")},
      {"an upgrade by HTTP/1.0", with(upgrade_request(), "HTTP/1.1", "HTTP/1.0"),
       Response::text("page")},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.why);
    Server server;
    serve(server, row.answer);
    server.receive(row.request + page_request("/behind"));
    ASSERT_TRUE(server.dead());
    EXPECT_EQ(server.events().size(), 2u);
    EXPECT_EQ(count(server.written(), "HTTP/1.1 "), 1u);
    EXPECT_EQ(field(server.written(), "Connection"), "close");
    EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = {}, .opened = false}));
  }
}

// A server may ignore an upgrade to a protocol that it does not support.
TEST(EnginePages, Rfc9110_7_8_AnUpgradeToH2cIsAPlainRequest) {
  Server server;
  serve(server);
  const std::string request =
      with(page_request(), "\r\n\r\n",
           "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n");
  server.receive(request + request);
  EXPECT_EQ(server.events(), (Strings{"request GET /", "request GET /"}));
  EXPECT_EQ(count(server.written(), "HTTP/1.1 200 OK\r\n"), 2u);
  EXPECT_FALSE(server.dead());
}

TEST(EnginePages, Rfc9110_7_8_100ComesBefore101IfItIsExpected) {
  const std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";
  Server server;
  server.receive(upgrade_request("Expect: 100-Continue\r\n"));
  EXPECT_TRUE(server.head().starts_with(std::string(interim) + "HTTP/1.1 101 ")) << server.head();
  Server refusing;
  refusing.receive(upgrade_request("Expect: 100-continue\r\nOrigin: null\r\n"));
  EXPECT_TRUE(refusing.written().starts_with("HTTP/1.1 403 ")) << refusing.written();
  Server plain;
  serve(plain);
  plain.receive(with(page_request(), "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_TRUE(plain.written().starts_with("HTTP/1.1 200 "))
      << "there is no body, so there is no 100";
  Server body;
  body.receive(
      with(page_request(), "\r\n\r\n", "\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_TRUE(body.written().starts_with("HTTP/1.1 400 "))
      << "the refusal does not wait for the body";
}

// The engine has no clock. It gets the time of day once, and advances it with its ticks.
TEST(EnginePages, Rfc9110_6_6_1_EachAnswerHasADate) {
  using namespace std::chrono_literals;
  using Answer = void (*)(Engine&);
  const std::pair<std::string, Answer> cases[] = {
      {page_request(), [](Engine& engine) { engine.respond(Response::text("page")); }},
      {page_request(), [](Engine& engine) { engine.respond(Response::status(404)); }},
      {upgrade_request(), [](Engine& engine) { engine.accept(); }},
      {upgrade_request("Origin: null\r\n"), [](Engine& engine) { engine.accept(); }},
      {"nonsense\r\n\r\n", [](Engine&) {}}};
  for (const auto& [request, answer] : cases) {
    const EngineOptions options;
    Workspace workspace;
    const Engine::TimePoint start(5h);
    EXPECT_EQ(workspace.date(start), "");
    workspace.set_wall_clock(start, std::chrono::sys_seconds(784'111'777s) + 400ms);
    EXPECT_EQ(workspace.date(start + 599ms), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(workspace.date(start - 401ms), "Sun, 06 Nov 1994 08:49:36 GMT");
    Engine engine = *Engine::server(options, workspace);
    engine.tick(start + 600ms);
    std::string lent = request;
    engine.feed(0, std::as_writable_bytes(std::span(lent)));
    while (const Event event = engine.next()) {
      if (event.kind() == Event::Kind::request) answer(engine);
    }
    const auto pieces = engine.output();
    ASSERT_FALSE(pieces.empty());
    const std::string head(static_cast<const char*>(pieces[0].iov_base), pieces[0].iov_len);
    EXPECT_EQ(field(head, "Date"), "Sun, 06 Nov 1994 08:49:38 GMT") << head;
  }
}

TEST(EnginePages, APageIsWrittenAfterTheFinOfThePeer) {
  Server server;
  serve(server, Response::shared(std::make_shared<const std::string>(100'000, 'p'), "text/plain"));
  server.writable = 1'000;
  std::string request = page_request();
  server.receive(request);
  server.receive_eof();
  EXPECT_FALSE(server.dead());
  server.writable = Peer::all;
  server.turn();
  EXPECT_TRUE(server.dead());
  EXPECT_TRUE(server.written().ends_with("\r\n\r\n" + std::string(100'000, 'p')));
}

// A peer sends requests and does not read. Each request waits until the earlier answers are
// written.
TEST(EnginePages, RequestsWaitUntilEarlierAnswersAreWritten) {
  constexpr std::size_t page = 64 << 10;
  const std::string all = page_request("/0") + page_request("/1") + page_request("/2") +
                          page_request("/3") + upgrade_request();
  for (const std::size_t step : {Peer::all, std::size_t{1}, std::size_t{7}}) {
    Server server({.limits = {.low_water_bytes = 1'000}});
    serve(server, Response::text(std::string(page, 'p')));
    server.writable = 0;
    server.receive(all, step);
    EXPECT_EQ(server.events(), Strings{"request GET /0"});
    EXPECT_LT(server.engine().queued_bytes(), page + 1'000);
    EXPECT_FALSE(server.engine().wants_input());
    for (const char* const next : {"/1", "/2", "/3"}) {
      server.writable = server.engine().queued_bytes() - 1'001;
      server.turn();
      EXPECT_FALSE(server.engine().has_stash()) << "more than the low-water mark waits";
      server.writable = 1;
      server.turn();
      server.writable = 0;
      server.turn();
      EXPECT_EQ(server.events().back(), std::string("request GET ") + next);
      EXPECT_LT(server.engine().queued_bytes(), page + 2'000);
    }
    server.writable = Peer::all;
    server.turn();
    server.turn();
    EXPECT_EQ(server.events().back(), "closed") << "the upgrade was refused";
  }
}

// A FIN ends only the direction of the peer, so waiting requests are still answered.
TEST(EnginePages, RequestsThatWaitAreAnsweredAfterAFin) {
  Server server({.limits = {.low_water_bytes = 1'000}});
  serve(server, Response::text(std::string(5'000, 'p')));
  server.writable = 0;
  server.receive(page_request("/0") + page_request("/1"));
  server.receive_eof();
  EXPECT_EQ(server.events(), Strings{"request GET /0"});
  server.writable = Peer::all;
  server.turn();
  server.turn();
  EXPECT_EQ(count(server.written(), "HTTP/1.1 200 OK"), 2u);
  EXPECT_TRUE(server.dead());
}

TEST(EnginePages, AnInvalidAnswerBecomes500) {
  Server server;
  server.accepts = false;
  server.receive(page_request());
  EXPECT_EQ(server.engine().respond(Response::text("x").header("A", "b\r\nC: d")),
            Errc::invalid_header);
  server.turn();
  EXPECT_TRUE(server.written().starts_with("HTTP/1.1 500 "));
  EXPECT_EQ(server.written().find("C: d"), std::string::npos);
  EXPECT_TRUE(server.dead());
}

}  // namespace
}  // namespace tern::test
