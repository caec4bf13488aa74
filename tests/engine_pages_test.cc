// Plain HTTP requests before an upgrade, on the same connection (RFC 9112 §9), and answers of which
// the body is pulled while the peer takes it.
#include "http/body_source.h"
#include "support/engine_table.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
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
    bool keep_alive = true;
  };
  const std::vector<Row> table = {
      {"keep_alive is off", page_request(), Response::text("page"), false},
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
    Server server({.keep_alive = row.keep_alive});
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

// ---- bodies that are pulled

/// Returns these pieces, then nothing; counts the calls.
struct Pieces {
  std::vector<std::string> left;
  std::shared_ptr<int> calls = std::make_shared<int>(0);

  std::optional<std::string> operator()() {
    ++*calls;
    if (left.empty()) return {};
    std::string first = left.front();
    left.erase(left.begin());
    return first;
  }
};

/// Answers each request with a new stream of `pieces`.
void stream(Server& server, Pieces pieces) {
  server.accepts = false;
  server.on_event = [&server, pieces](Event event) {
    if (event.kind() == Event::Kind::request)
      server.engine().respond(Response::stream("text/plain", pieces));
  };
}

/// Turns of a socket that takes everything, until the answer is written.
void finish(Server& server) {
  server.writable = Peer::all;
  do {
    server.turn();
  } while (server.engine().wants_pull() || server.engine().queued_bytes() > 0);
}

/// The bytes behind the first head.
std::string body_of(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

/// Takes a chunked body from the front of `text` (RFC 9112 §7.1); nothing if it is not complete.
std::optional<std::string> take_chunked(std::string& text) {
  std::string body;
  for (;;) {
    const std::size_t line = text.find("\r\n");
    if (line == text.npos || line == 0) return {};
    const std::size_t size = std::stoul(text.substr(0, line), nullptr, 16);
    if (text.size() < line + 2 + size + 2 || text.substr(line + 2 + size, 2) != "\r\n") return {};
    body += text.substr(line + 2, size);
    text.erase(0, line + 2 + size + 2);
    if (size == 0) return body;
  }
}

std::string join(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

TEST(EnginePages, Rfc9112_7_1_AStreamIsSentInChunks) {
  const std::vector<std::vector<std::string>> table = {
      {},
      {""},
      {"a"},
      {"", "", "a", "", std::string(15, 'b'), std::string(16, 'c'), std::string(17, 'd'), ""},
      {std::string(4'095, 'e'), std::string(4'096, 'f'), std::string(16'000, 'g')},
      {std::string(300'000, 'h'), "i", std::string(70'000, 'j')},
      std::vector<std::string>(2'000, std::string(99, 'k')),
  };
  for (const auto& pieces : table) {
    for (const std::size_t step : {Peer::all, std::size_t{1}, std::size_t{1'000}}) {
      Server server;
      stream(server, {pieces});
      server.write_step = step == 1 && join(pieces).size() > 1'000 ? 1'000 : step;
      server.receive(page_request("/a") + page_request("/b"));
      finish(server);
      EXPECT_EQ(server.events(), (Strings{"request GET /a", "request GET /b"}));
      std::string rest = server.written();
      for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(field(rest, "Transfer-Encoding"), "chunked");
        EXPECT_EQ(field(rest, "Content-Length"), "(absent)");
        EXPECT_EQ(field(rest, "Content-Type"), "text/plain");
        EXPECT_EQ(field(rest, "Connection"), "(absent)") << "it is kept";
        rest = body_of(rest);
        EXPECT_EQ(take_chunked(rest), join(pieces));
      }
      EXPECT_EQ(rest, "");
      EXPECT_FALSE(server.dead());
    }
  }
}

TEST(EnginePages, Rfc9112_6_3_AStreamForHttp10EndsWithTheConnection) {
  const std::vector<std::string> pieces = {"abc", "", std::string(100'000, 'x')};
  Server server;
  stream(server, {pieces});
  server.receive(with(page_request(), "HTTP/1.1", "HTTP/1.0") + page_request("/behind"));
  finish(server);
  EXPECT_EQ(field(server.written(), "Transfer-Encoding"), "(absent)");
  EXPECT_EQ(field(server.written(), "Content-Length"), "(absent)");
  EXPECT_EQ(field(server.written(), "Connection"), "close");
  EXPECT_EQ(body_of(server.written()), join(pieces));
  EXPECT_TRUE(server.dead());
  EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = {}, .opened = false}));
}

TEST(EnginePages, AnswersWithoutABodyPullNothing) {
  const std::pair<std::string, int> cases[] = {
      {page_request("/", "HEAD"), 200}, {page_request(), 204}, {page_request(), 304}};
  for (const auto& [request, status] : cases) {
    Server server;
    server.accepts = false;
    server.on_event = [&server, status = status](Event event) {
      if (event.kind() != Event::Kind::request) return;
      const auto next = []() -> std::optional<std::string> { throw std::logic_error("called"); };
      server.engine().respond(Response::pulled(status, std::make_shared<http::StreamSource>(next)));
    };
    server.receive(request + request);
    finish(server);
    EXPECT_EQ(server.events().size(), 2u);
    EXPECT_EQ(server.body_failure, "");
    EXPECT_EQ(field(server.written(), "Transfer-Encoding"), status == 200 ? "chunked" : "(absent)");
    EXPECT_EQ(count(server.written(), "\r\n\r\n"), 2u);
  }
}

// The peer must be able to see that the body is not complete.
TEST(EnginePages, AStreamThatThrowsEndsTheConnectionWithoutTheLastChunk) {
  Server server;
  server.accepts = false;
  server.on_event = [&server](Event event) {
    if (event.kind() != Event::Kind::request) return;
    server.engine().respond(Response::stream("text/plain", [calls = 0]() mutable {
      if (++calls == 7) throw std::runtime_error("the database is gone");
      return std::optional(std::string(20'000, 'x'));
    }));
  };
  server.receive(page_request());
  while (!server.dead()) server.turn();
  EXPECT_EQ(server.body_failure, "the database is gone");
  EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = Errc::handler_threw, .opened = false}));
  std::string body = body_of(server.written());
  EXPECT_FALSE(take_chunked(body));
}

TEST(EnginePages, AStreamWithoutAFunctionIsAnExceptionOfThePage) {
  Server server;
  server.accepts = false;
  server.on_event = [&server](Event event) {
    if (event.kind() == Event::Kind::request)
      server.engine().respond(Response::stream("text/plain", nullptr));
  };
  server.receive(page_request());
  EXPECT_NE(server.body_failure, "");
  EXPECT_TRUE(server.dead());
}

TEST(EnginePages, AStreamIsPulledOnlyAsThePeerTakesIt) {
  for (const std::size_t low_water : {std::size_t{64} << 10, std::size_t{1'000}}) {
    const auto calls = std::make_shared<int>(0);
    Server server({.limits = {.low_water_bytes = low_water}});
    server.accepts = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      server.engine().respond(Response::stream("text/plain", [calls] {
        ++*calls;
        return std::optional(std::string(500, 'x'));
      }));
    };
    server.writable = 0;
    server.receive(page_request());
    const std::size_t most = low_water + 1'000;
    EXPECT_LE(server.engine().queued_bytes(), most);
    EXPECT_FALSE(server.engine().wants_pull());
    EXPECT_FALSE(server.engine().wants_input()) << "the next request waits";
    const int before = *calls;
    server.turn();
    EXPECT_EQ(*calls, before) << "nothing was taken";
    for (int i = 0; i < 50; ++i) {
      server.writable = 10'000;
      server.turn();
      EXPECT_LE(server.engine().queued_bytes(), most);
    }
    EXPECT_GT(*calls, before + 10);
    EXPECT_FALSE(server.dead());
  }
}

// The stall deadline looks at progress, however long the answer takes.
TEST(EnginePages, ASlowReaderOfAStreamIsJudgedByItsProgress) {
  for (const bool takes : {true, false}) {
    Server server;
    server.accepts = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      server.engine().respond(
          Response::stream("text/plain", [] { return std::optional(std::string(500, 'x')); }));
    };
    server.writable = 0;
    server.receive(page_request());
    for (int i = 0; i < 20 && !server.dead(); ++i) {
      server.writable = takes ? 5'000 : 0;
      server.turn();
      server.wait(20s);
    }
    EXPECT_EQ(server.dead(), !takes);
    if (!takes) {
      EXPECT_EQ(server.ending().error, Errc::write_stalled);
    }
  }
}

TEST(EnginePages, AFinOfThePeerDoesNotCutAStreamAndAResetDoes) {
  for (const bool reset : {false, true}) {
    Server server;
    stream(server, {std::vector<std::string>(10, std::string(50'000, 'x'))});
    server.writable = 100'000;
    server.receive(page_request());
    EXPECT_FALSE(server.dead());
    if (reset) {
      server.receive_error(Errc::connection_reset);
      EXPECT_TRUE(server.dead());
      EXPECT_EQ(server.ending().error, Errc::connection_reset);
      continue;
    }
    server.receive_eof();
    finish(server);
    std::string body = body_of(server.written());
    EXPECT_EQ(take_chunked(body), std::string(500'000, 'x'));
    EXPECT_TRUE(server.dead());
  }
}

TEST(EnginePages, CloseLetsAStreamEndAndThenEndsTheConnection) {
  Server server;
  stream(server, {std::vector<std::string>(10, std::string(50'000, 'x'))});
  server.writable = 100'000;
  server.receive(page_request());
  server.at_now().close(CloseCode::going_away);
  server.turn();
  EXPECT_FALSE(server.dead());
  finish(server);
  std::string body = body_of(server.written());
  EXPECT_EQ(take_chunked(body), std::string(500'000, 'x'));
  EXPECT_TRUE(server.dead());
}

TEST(EnginePages, TheTimeForTheNextRequestBeginsBehindAStream) {
  Server server;
  stream(server, {{"piece"}});
  server.receive(page_request());
  finish(server);
  server.wait(4s);
  EXPECT_FALSE(server.dead());
  server.receive(page_request());
  finish(server);
  server.wait(4s);
  EXPECT_FALSE(server.dead());
  server.wait(2s);
  EXPECT_TRUE(server.dead()) << "timeouts.http_idle";
}

TEST(EnginePages, AStreamWithAFieldThatMayNotBeSentBecomes500) {
  const Pieces pieces{{"secret"}};
  Server server;
  server.accepts = false;
  server.receive(page_request());
  EXPECT_EQ(
      server.engine().respond(Response::stream("text/plain", pieces).header("A", "b\r\nC: d")),
      Errc::invalid_header);
  server.turn();
  EXPECT_TRUE(server.written().starts_with("HTTP/1.1 500 "));
  EXPECT_EQ(*pieces.calls, 0);
  EXPECT_TRUE(server.dead());
}

/// States one size and has another.
class Sized final : public http::BodySource {
 public:
  Sized(std::uint64_t size, std::string bytes) : size_(size), bytes_(std::move(bytes)) {}
  std::optional<std::uint64_t> size() const noexcept override { return size_; }
  std::optional<std::size_t> read(std::span<std::byte> into) override {
    if (bytes_.empty()) return {};
    const std::size_t size = std::min(into.size(), bytes_.size());
    std::memcpy(into.data(), bytes_.data(), size);
    bytes_.erase(0, size);
    return size;
  }

 private:
  std::uint64_t size_;
  std::string bytes_;
};

TEST(EnginePages, ABodyWithASizeHasExactlyThatSize) {
  struct Row {
    std::uint64_t stated;
    std::size_t given;
    bool fails;
  };
  for (const Row& row : {Row{0, 0, false}, Row{1, 1, false}, Row{200'000, 200'000, false},
                         Row{65'536, 65'536, false}, Row{100, 200, false}, Row{0, 9, false},
                         Row{200, 100, true}, Row{200'000, 150'000, true}, Row{1, 0, true}}) {
    SCOPED_TRACE(std::to_string(row.stated) + " " + std::to_string(row.given));
    Server server;
    server.accepts = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      server.engine().respond(
          Response::pulled(206, std::make_shared<Sized>(row.stated, std::string(row.given, 'x'))));
    };
    server.receive(page_request());
    finish(server);
    EXPECT_EQ(field(server.written(), "Content-Length"),
              row.fails && row.given < 65'536 ? "(absent)" : std::to_string(row.stated));
    EXPECT_EQ(server.dead(), row.fails);
    if (row.fails) {
      EXPECT_EQ(server.ending().error, Errc::handler_threw);
    } else {
      EXPECT_EQ(body_of(server.written()), std::string(row.stated, 'x'));
    }
  }
}

}  // namespace
}  // namespace tern::test
