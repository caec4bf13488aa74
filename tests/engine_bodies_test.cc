// Requests with bodies, RFC 9112 §6 and §7.1, in the engine: events, answers, deadlines.
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";

// Reads each body, and answers with the method and the body.
struct Server : Peer {
  explicit Server(EngineOptions options = {})
      : Peer(Role::server, std::move(options), Start::handshake) {
    accepts = false;
    reads_bodies = true;
    on_event = [this](Event event) {
      const bool asked = event.kind() == Event::Kind::request && !engine().has_unread_body();
      if (asked || event.kind() == Event::Kind::body) {
        const Request& request = engine().request();
        answers += std::string(request.method()) + ' ' + std::string(request.body()) + '|';
        engine().respond(Response::text("fine"));
      }
    };
  }

  std::string answers{};
};

std::string post(std::string_view fields, std::string_view body = {}) {
  return "POST /a HTTP/1.1\r\nHost: example.org\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t result = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++result;
  return result;
}

TEST(EngineBodies, Rfc9112_6_BodiesAndWhatFollowsAtEveryCut) {
  const std::string bytes = post("Content-Length: 5\r\n", "Hello") + page_request("/b") +
                            post("Transfer-Encoding: chunked\r\n",
                                 "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nContent-Length: 9\r\n\r\n") +
                            post("Content-Length: 0\r\n") + post("") +
                            post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n") +
                            page_request("/c", "HEAD");
  const Strings events = {"request POST /a", "body Hello",      "request GET /b",
                          "request POST /a", "body abcde",      "request POST /a",
                          "request POST /a", "request POST /a", "body ",
                          "request HEAD /c"};
  const std::string answers = "POST Hello|GET |POST abcde|POST |POST |POST |HEAD |";
  const auto check = [&](const std::vector<std::string_view>& pieces) {
    Server server;
    for (const std::string_view piece : pieces) server.receive(piece);
    EXPECT_EQ(server.events(), events);
    EXPECT_EQ(server.answers, answers);
    EXPECT_EQ(count(server.written(), "HTTP/1.1 200 OK\r\n"), 7u);
    EXPECT_FALSE(server.dead());
  };
  const std::string_view all = bytes;
  for (std::size_t cut = 0; cut <= all.size() && !HasFailure(); ++cut) {
    SCOPED_TRACE(cut);
    check({all.substr(0, cut), all.substr(cut)});
  }
  std::vector<std::string_view> single;
  for (std::size_t i = 0; i < all.size(); ++i) single.push_back(all.substr(i, 1));
  check(single);
  Server stashing;
  stashing.stash_every = 1;
  stashing.receive(bytes);
  EXPECT_EQ(stashing.answers, answers);
}

TEST(EngineBodies, AnUpgradeMayFollowABody) {
  Server server;
  server.on_event = [&](Event event) {
    if (event.kind() == Event::Kind::body) server.engine().respond(Response::text("fine"));
    if (event.kind() == Event::Kind::request && !server.engine().has_unread_body()) {
      server.engine().accept();
    }
  };
  server.receive(post("Content-Length: 2\r\n", "ab") + upgrade_request() +
                 wire(Role::client, text("Hello")));
  EXPECT_EQ(server.events(),
            (Strings{"request POST /a", "body ab", "request GET /echo", "open", "text Hello"}));
}

// The refusal of a body ends the connection, so that nothing behind it is taken for a request.
TEST(EngineBodies, Rfc9112_6_3_ABodyIsRefusedAtItsFault) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  struct Row {
    const char* why;
    std::string request;
    int status;
    Errc error;
  };
  const std::vector<Row> table = {
      {"a length above the limit", post("Content-Length: 9\r\n"), 413, Errc::body_too_big},
      {"a length over 64 bits", post("Content-Length: 99999999999999999999\r\n"), 413,
       Errc::body_too_big},
      {"a chunk above the limit", post(chunked, "9\r"), 413, Errc::body_too_big},
      {"chunks above the limit", post(chunked, "5\r\n12345\r\n4"), 413, Errc::body_too_big},
      {"a bare LF", post(chunked, "5\n"), 400, Errc::body_malformed},
      {"a body behind its length", post("Content-Length: 1\r\n", "a\1"), 400, Errc::http_malformed},
      {"long trailers", post(chunked, "0\r\nA: " + std::string(16'384, 'b')), 431,
       Errc::head_too_big},
      {"long extensions", post(chunked, "1;" + std::string(5'000, 'b')), 400, Errc::body_malformed},
  };
  for (const Row& row : table) {
    for (const std::size_t step : {Peer::all, std::size_t{1}}) {
      SCOPED_TRACE(row.why);
      Server server({.limits = {.max_body_bytes = 8}});
      server.receive(row.request + page_request("/smuggled"), step);
      server.receive(page_request("/smuggled"));
      ASSERT_TRUE(server.dead());
      const std::string& written = server.written();
      const auto last = written.rfind("HTTP/1.1 ");
      EXPECT_TRUE(written.substr(last).starts_with("HTTP/1.1 " + std::to_string(row.status)))
          << written;
      EXPECT_EQ(field(written.substr(last), "Connection"), "close");
      EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = row.error, .opened = false}));
      for (const std::string& event : server.events()) EXPECT_NE(event, "request GET /smuggled");
    }
  }
}

TEST(EngineBodies, Rfc9110_10_1_1_100ComesOnlyIfTheClientWaitsForIt) {
  const std::string expecting = "Expect: 100-continue\r\nContent-Length: 5\r\n";
  Server server;
  server.receive(post(expecting));
  EXPECT_EQ(server.written(), interim);
  server.receive("Hello");
  EXPECT_EQ(server.answers, "POST Hello|");
  EXPECT_TRUE(server.written().starts_with(std::string(interim) + "HTTP/1.1 200 OK\r\n"));

  Server eager;  // it has sent the beginning of its body already
  eager.receive(post(expecting, "H"));
  EXPECT_EQ(eager.written(), "");
  eager.receive("ello");
  EXPECT_EQ(eager.answers, "POST Hello|");

  Server old;  // HTTP/1.0 has no interim answers
  std::string request = post(expecting);
  request.replace(request.find("1.1"), 3, "1.0");
  old.receive(request);
  EXPECT_EQ(old.written(), "");
  old.receive("Hello");
  EXPECT_EQ(old.answers, "POST Hello|");
  EXPECT_TRUE(old.dead()) << "HTTP/1.0 closes";

  Server empty;
  empty.receive(post("Expect: 100-continue\r\n"));
  EXPECT_TRUE(empty.written().starts_with("HTTP/1.1 200 OK\r\n")) << "no body, so no 100";

  Server small({.limits = {.max_body_bytes = 4}});
  small.receive(post(expecting));
  EXPECT_TRUE(small.written().starts_with("HTTP/1.1 413 ")) << small.written();
  EXPECT_TRUE(small.dead());
}

// RFC 9112 §9.3: a server that does not read a body must close the connection.
TEST(EngineBodies, AnAnswerBeforeTheBodyEndsTheConnection) {
  for (const bool accepts : {false, true}) {
    Server server;
    server.reads_bodies = false;
    server.on_event = [&](Event event) {
      if (event.kind() != Event::Kind::request) return;
      EXPECT_EQ(server.engine().upgrade_error(), Errc::request_with_body);
      EXPECT_EQ(server.engine().request().body(), "");
      accepts ? server.engine().accept() : server.engine().respond(Response::text("early"));
    };
    server.receive(post("Content-Length: 34\r\n", page_request("/smuggled")));
    EXPECT_TRUE(server.dead());
    EXPECT_EQ(field(server.written(), "Connection"), "close");
    EXPECT_TRUE(server.written().starts_with(accepts ? "HTTP/1.1 400 " : "HTTP/1.1 200 "));
    EXPECT_EQ(server.events(), (Strings{"request POST /a", "closed"}));
  }
}

// A body that drips is ended at its deadline, however often a byte comes.
TEST(EngineBodies, TheDeadlineOfABodyIsAbsolute) {
  const std::pair<const char*, const char*> framings[] = {
      {"Content-Length: 500\r\n", "x"}, {"Transfer-Encoding: chunked\r\n", "1\r\nx\r\n"}};
  for (const auto& [fields, drip] : framings) {
    Server server({.timeouts = {.handshake = 10s, .body = 30s}});
    server.wait(9s);
    server.receive(post(fields));
    EXPECT_EQ(server.due(), 30s) << "it begins at the end of the head";
    for (int i = 0; i < 29; ++i) {
      server.wait(1s);
      server.receive(drip);
    }
    EXPECT_EQ(server.due(), 1s);
    EXPECT_EQ(server.written(), "");
    server.wait(1s);
    EXPECT_TRUE(server.written().starts_with("HTTP/1.1 408 ")) << server.written();
    EXPECT_EQ(server.ending(),
              (Ending{.code = 1006, .error = Errc::body_timeout, .opened = false}));
  }
}

// The 100 that waits or is written moves no deadline of the body.
TEST(EngineBodies, TheDeadlineOfABodyIsNotMovedByOutput) {
  Server server({.timeouts = {.body = 20s}});
  server.writable = 0;
  server.receive(post("Expect: 100-continue\r\nContent-Length: 5\r\n"));
  server.wait(5s);
  EXPECT_EQ(server.due(), 15s);
  server.writable = Peer::all;
  server.turn();
  EXPECT_EQ(server.written(), interim);
  EXPECT_EQ(server.due(), 15s);
}

// An application that answers later has a deadline of its own; any other has that of the handshake.
TEST(EngineBodies, ARequestThatWaitsForItsAnswerHasADeadline) {
  for (const bool patient : {false, true}) {
    Server server({.timeouts = {.handshake = 10s, .answer = 50s}});
    server.on_event = [&](Event event) {
      if (event.kind() == Event::Kind::body && patient) server.engine().wait_for_answer();
    };
    server.receive(post("Content-Length: 2\r\n", "ab"));
    EXPECT_EQ(server.due(), patient ? 50s : 10s);
    server.wait(patient ? 49s : 9s);
    EXPECT_EQ(server.written(), "");
    Server late({.timeouts = {.handshake = 10s, .answer = 50s}});
    late.on_event = [&](Event event) {
      if (event.kind() == Event::Kind::body && patient) late.engine().wait_for_answer();
    };
    late.receive(post("Content-Length: 2\r\n", "ab"));
    late.wait(1h);
    EXPECT_TRUE(late.written().starts_with("HTTP/1.1 503 ")) << late.written();
    EXPECT_EQ(server.engine().take_body(), "ab");
    EXPECT_EQ(server.engine().request().body(), "");
    server.receive(page_request("/behind"));
    server.at_now().respond(Response::text("late"));
    server.turn();
    EXPECT_TRUE(server.written().ends_with("late"));
    EXPECT_EQ(server.events().back(), "request GET /behind") << "the connection goes on";
  }
}

TEST(EngineBodies, AHalfBodyEndsWithItsConnection) {
  Server server;
  server.receive(post("Content-Length: 5\r\n", "Hel"));
  server.receive_eof();
  EXPECT_TRUE(server.dead());
  EXPECT_EQ(server.written(), "");
  EXPECT_EQ(server.ending(), (Ending{.code = 1006, .error = Errc::end_of_stream, .opened = false}));
  Server whole;
  whole.receive(post("Content-Length: 5\r\n", "Hello"));
  whole.receive_eof();
  EXPECT_EQ(whole.answers, "POST Hello|");
  EXPECT_TRUE(whole.dead());
}

TEST(EngineBodies, AnAnswerThatComesLaterFollowsAFin) {
  Server server;
  server.on_event = [&](Event event) {
    if (event.kind() == Event::Kind::request) server.engine().wait_for_answer();
  };
  server.receive(page_request("/later") + page_request("/behind"));
  server.receive_eof();
  EXPECT_FALSE(server.dead());
  for (const char* const text : {"first", "second"}) {
    server.at_now().respond(Response::text(text));
    server.turn();
    EXPECT_TRUE(server.written().ends_with(text)) << server.written();
  }
  EXPECT_TRUE(server.dead());
}

TEST(EngineBodies, Rfc9110_15_6_4_ARequestThatIsReadReceives503AtTheEnd) {
  for (const char* const body : {"Hel", "Hello"}) {
    Server server;
    server.on_event = {};
    server.receive(post("Content-Length: 5\r\n", body));
    server.at_now().close(CloseCode::going_away);
    server.turn();
    EXPECT_TRUE(server.written().starts_with("HTTP/1.1 503 ")) << server.written();
    EXPECT_TRUE(server.dead());
  }
}

// Output that waits does not hold a body back, because a body is bounded and makes no output.
TEST(EngineBodies, ABodyIsReadWhileOutputWaits) {
  Server server({.limits = {.low_water_bytes = 10}});
  server.writable = 0;
  server.receive(post("Expect: 100-continue\r\nContent-Length: 10\r\n"));
  EXPECT_GT(server.engine().queued_bytes(), 10u);
  server.receive("12345");
  server.receive("67890" + page_request("/behind"));
  EXPECT_EQ(server.answers, "POST 1234567890|");
  EXPECT_EQ(server.engine().read_body(), Errc::closed);
  server.writable = Peer::all;
  server.turn();
  server.turn();
  EXPECT_EQ(server.answers, "POST 1234567890|GET |");
}

}  // namespace
}  // namespace tern::test
