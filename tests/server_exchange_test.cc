// Pages that take bodies, and pages that answer later through an Exchange.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

std::string request(std::string_view method, std::string_view target, std::string_view fields,
                    std::string_view body = {}) {
  return std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: example.org\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}

std::string counted(std::string_view method, std::string_view target, std::string_view body) {
  return request(method, target, "Content-Length: " + std::to_string(body.size()) + "\r\n", body);
}

std::string chunked(std::string_view method, std::string_view target, std::string_view body) {
  std::string chunks;
  for (const char c : body) chunks += std::string("1;x\r\n") + c + "\r\n";
  return request(method, target, "Transfer-Encoding: chunked\r\n", chunks + "0\r\nA: b\r\n\r\n");
}

// The status line's code and the body: "200 text".
std::string answer(RawClient& client) {
  const std::string head = client.head();
  if (head.size() < 12) return "end";
  const std::string length = field(head, "Content-Length");
  const std::size_t size = length == "(absent)" ? 0 : std::stoul(length);
  return head.substr(9, 3) + ' ' + client.body(size);
}

Response mirror(const Request& received) {
  return Response::text(std::string(received.method()) + ' ' + received.parameter("name") + ' ' +
                        std::string(received.body()));
}

// ---- bodies

TEST(ServerBodies, Rfc9112_6_EachMethodButGetAndHeadTakesABody) {
  RunningServer running;
  running.server.get("/{name}", mirror);
  running.server.post("/{name}", mirror);
  running.server.put("/{name}", mirror);
  running.server.patch("/{name}",
                       [](Exchange exchange) { exchange.respond(mirror(exchange.request())); });
  running.server.del("/{name}", mirror);
  const std::uint16_t port = running.start();
  RawClient client(port);  // all of them on one connection, without a wait
  std::string all;
  for (const char* const method : {"POST", "PUT", "PATCH", "DELETE"}) {
    all += counted(method, "/a", "Hello") + chunked(method, "/b", "chunks") +
           request(method, "/c", "") + page_request("/d");
  }
  client.send(all);
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    EXPECT_EQ(answer(client), "200 " + method + " a Hello");
    EXPECT_EQ(answer(client), "200 " + method + " b chunks");
    EXPECT_EQ(answer(client), "200 " + method + " c ");
    EXPECT_EQ(answer(client), "200 GET d ");
  }
  for (const char* const method : {"GET", "HEAD"}) {
    RawClient refused(port);
    EXPECT_TRUE(refused.ask(counted(method, "/a", "Hello")).starts_with("HTTP/1.1 400 ")) << method;
  }
}

// The answer does not wait for the body, and nothing of the body is taken for a request.
TEST(ServerBodies, Rfc9112_9_3_ABodyThatNoPageTakesEndsTheConnection) {
  RunningServer running;
  running.server.get("/page", mirror);
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  const std::pair<const char*, const char*> cases[] = {
      {"/page", "405"}, {"/none", "404"}, {"/echo", "400"}};
  for (const auto& [target, status] : cases) {
    RawClient client(port);
    client.send(request("POST", target, "Content-Length: 60000\r\n", page_request("/page")));
    const std::string head = client.head();
    EXPECT_EQ(head.substr(9, 3), status) << target;
    EXPECT_EQ(field(head, "Connection").find("close"), 0u) << head;
    client.body(std::stoul(field(head, "Content-Length")));
    client.send(std::string(50'000, 'x'));  // it is discarded, so that the answer is not destroyed
    client.finish();
    EXPECT_TRUE(client.ends());
    EXPECT_EQ(client.read_error(), 0) << "a FIN, and no RST";
  }
  RawClient options(port);
  const std::string head = options.ask(counted("OPTIONS", "/page", "Hello"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 204 ")) << head;
  EXPECT_EQ(field(head, "Connection"), "close");
}

TEST(ServerBodies, Rfc9110_15_5_14_ABodyAboveTheLimitIsRefusedAtItsHead) {
  std::vector<std::string> lines;
  RunningServer running({.limits = {.max_body_bytes = 5}, .log = [&](const LogRecord& record) {
                           lines.emplace_back(record.message);
                         }});
  running.server.post("/{name}", mirror);
  const std::uint16_t port = running.start();
  const std::string expect = "Expect: 100-continue\r\nContent-Length: ";
  RawClient client(port);
  EXPECT_EQ(client.ask(request("POST", "/a", expect + "5\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("Hello");
  EXPECT_EQ(answer(client), "200 POST a Hello");
  client.send(request("POST", "/a", expect + "6\r\n"));
  EXPECT_TRUE(answer(client).starts_with("413 "));
  client.finish();
  EXPECT_TRUE(client.ends());
  RawClient chunks(port);
  chunks.send(chunked("POST", "/a", "Hello") + chunked("POST", "/a", "Hello!"));
  EXPECT_EQ(answer(chunks), "200 POST a Hello");
  RawClient first(port);
  first.send(counted("POST", "/a", "Hello!"));
  for (RawClient* each : {&chunks, &first}) {  // counted once each, before the connection ends
    EXPECT_TRUE(answer(*each).starts_with("413 "));
    each->finish();
    EXPECT_TRUE(each->ends());
  }
  const auto refusals = running.server.counters().refusals;
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0], (std::pair<std::string, std::uint64_t>("body_too_big", 3)));
  running.stop();
  EXPECT_EQ(lines, std::vector<std::string>(3,
                                            "/{name}: refused: the body is larger than the "
                                            "limit: limits.max_body_bytes is 5"));
}

TEST(ServerBodies, ABodyThatDripsEndsAtItsDeadline) {
  RunningServer running({.timeouts = {.body = std::chrono::milliseconds(50)}});
  running.server.post("/{name}", mirror);
  RawClient client(running.start());
  client.send(request("POST", "/a", "Content-Length: 60000\r\n", "x"));
  EXPECT_TRUE(client.head().starts_with("HTTP/1.1 408 "));
}

// ---- exchanges

TEST(ServerExchange, IsAnsweredLaterFromAnotherThread) {
  Inbox<Exchange> waiting;
  RunningServer running;
  const auto keep = [&](Exchange exchange) { waiting.put(std::move(exchange)); };
  running.server.get("/{name}", keep);
  running.server.post("/{name}", keep);
  RawClient client(running.start());
  client.send(counted("POST", "/a", "Hello") + page_request("/b"));
  for (const char* const expected : {"200 POST a Hello", "200 GET b "}) {
    const auto exchange = waiting.take();
    ASSERT_TRUE(exchange);
    EXPECT_TRUE(waiting.empty()) << "the next request waits for the answer";
    std::thread([copy = *exchange] { copy.respond(mirror(copy.request())); }).join();
    exchange->respond(Response::text("second"));  // only the first answer counts
    EXPECT_EQ(answer(client), expected);
  }
}

TEST(ServerExchange, Rfc9110_15_6_4_ALostExchangeIsAnsweredWith503) {
  RunningServer running;
  running.server.get("/lost", [](Exchange) {});
  running.server.fallback([](Exchange exchange) { exchange.respond(Response::text("fallback")); });
  running.server.get("/throws", [](Exchange) { throw std::runtime_error("oops"); });
  const std::uint16_t port = running.start();
  RawClient lost(port);
  const std::string head = lost.ask(page_request("/lost"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 503 ")) << head;
  EXPECT_EQ(field(head, "Retry-After"), "1");
  RawClient throws(port);
  EXPECT_TRUE(throws.ask(page_request("/throws")).starts_with("HTTP/1.1 500 "));
  RawClient other(port);
  other.send(page_request("/other"));
  EXPECT_EQ(answer(other), "200 fallback");
}

TEST(ServerExchange, AnAnswerThatTakesTooLongIs503) {
  Inbox<Exchange> waiting;
  RunningServer running({.timeouts = {.answer = std::chrono::milliseconds(50)}});
  running.server.get("/", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  RawClient client(running.start());
  EXPECT_TRUE(client.ask(page_request()).starts_with("HTTP/1.1 503 "));
  waiting.take()->respond(Response::text("late"));
}

TEST(ServerExchange, TheRequestOutlivesItsConnection) {
  Inbox<Exchange> waiting;
  Inbox<int> over;
  RunningServer running;
  running.server.post("/{name}", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  running.server.get("/over", [&](const Request&) { return Response::text("over"); });
  const std::uint16_t port = running.start();
  std::optional<Exchange> exchange;
  {
    RawClient client(port);
    client.send(counted("POST", "/a", std::string(1000, 'x')));
    exchange = waiting.take();
    client.reset();
  }
  // The server serves the next connection after it has seen the reset, or before: both are right.
  RawClient next(port);
  next.send(page_request("/over"));
  EXPECT_EQ(answer(next), "200 over");
  ASSERT_TRUE(exchange);
  EXPECT_EQ(exchange->request().target(), "/a");
  EXPECT_EQ(exchange->request().body(), std::string(1000, 'x'));
  EXPECT_EQ(exchange->request().parameter("name"), "a");
  exchange->respond(Response::text("too late"));
  next.send(page_request("/over"));
  EXPECT_EQ(answer(next), "200 over");
}

// Returns false if the exchange is open for ten seconds.
bool closes(const Exchange& exchange) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (exchange.is_open()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// A job may stop when its peer has left, because its result has no receiver.
TEST(ServerExchange, TellsThatItsPeerHasLeft) {
  Inbox<Exchange> waiting;
  RunningServer running;
  const auto keep = [&](Exchange exchange) { waiting.put(std::move(exchange)); };
  running.server.get("/", keep);
  running.server.post("/{name}", keep);
  const std::uint16_t port = running.start();
  for (const bool resets : {true, false}) {
    RawClient client(port);
    client.send(resets ? page_request() : counted("POST", "/a", "Hello"));
    const auto exchange = waiting.take();
    ASSERT_TRUE(exchange);
    EXPECT_TRUE(exchange->is_open());
    resets ? client.reset() : client.finish();
    ASSERT_TRUE(closes(*exchange)) << "resets: " << resets;
    exchange->respond(Response::text("done"));
    if (!resets) {
      EXPECT_EQ(answer(client), "200 done") << "it has only ended its direction";
    }
  }
  RawClient both(port);  // the FIN has arrived when the second request is served
  both.send(page_request() + page_request());
  both.finish();
  const auto first = waiting.take();
  ASSERT_TRUE(first);
  ASSERT_TRUE(closes(*first));
  first->respond(Response::text("1"));
  const auto second = waiting.take();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->is_open());
  second->respond(Response::text("2"));
  EXPECT_EQ(answer(both), "200 1");
  EXPECT_EQ(answer(both), "200 2");
  RawClient kept(port);  // each request has an Exchange of its own
  kept.send(page_request() + page_request());
  const auto third = waiting.take();
  ASSERT_TRUE(third);
  third->respond(Response::text("3"));
  EXPECT_FALSE(third->is_open());
  const auto fourth = waiting.take();
  ASSERT_TRUE(fourth);
  EXPECT_TRUE(fourth->is_open());
  fourth->respond(Response::text("4"));
}

// The fallback takes no bodies, so its answer does not wait for the body and ends the connection.
TEST(ServerExchange, TheFallbackAnswersLaterBesideABodyItDoesNotRead) {
  Inbox<Exchange> waiting;
  RunningServer running;
  running.server.fallback([&](Exchange exchange) { waiting.put(std::move(exchange)); });
  RawClient client(running.start());
  client.send(request("POST", "/none", "Content-Length: 60000\r\n", page_request("/body")));
  const auto exchange = waiting.take();
  ASSERT_TRUE(exchange);
  EXPECT_EQ(exchange->request().target(), "/none");
  EXPECT_EQ(exchange->request().body(), "");
  exchange->respond(Response::text("fallback"));
  const std::string head = client.head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_EQ(client.body(8), "fallback");
  client.send(std::string(50'000, 'x'));
  client.finish();
  EXPECT_TRUE(client.ends());
  EXPECT_TRUE(waiting.empty()) << "nothing of the body is a request";
}

// Requests that follow stay with the system while an answer is to come: the connection reads 64 KiB
// of them, not its usual large reads.
TEST(ServerExchange, RequestsBehindAnAnswerAreBounded) {
  constexpr std::uint64_t sent = std::uint64_t{1} << 20;
  Inbox<Exchange> waiting;
  RunningServer running;
  running.server.get("/", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  running.server.get("/page", [](const Request&) { return Response::text("page"); });
  const std::uint16_t port = running.start();
  RawClient client(port);
  client.send(page_request());
  const auto exchange = waiting.take();
  ASSERT_TRUE(exchange);
  std::thread sender([&] {  // it waits until the connection has ended, unless the buffers take all
    std::string much;
    while (much.size() < sent) much += page_request("/page");
    client.send(much);
  });
  RawClient other(port);
  std::uint64_t before = 0;
  std::uint64_t now = running.server.counters().bytes_received;
  for (int still = 0; still < 50 || now < std::uint64_t{64} << 10; before = now) {
    other.send(page_request("/page"));
    EXPECT_EQ(answer(other), "200 page");
    now = running.server.counters().bytes_received;
    still = now - before < 200 ? still + 1 : 0;  // the other connection's request
  }
  EXPECT_LT(now, std::uint64_t{200} << 10);
  running.stop(std::chrono::nanoseconds(0));
  sender.join();
}

// A request that waits for its answer is not a handshake in progress, so it is not dropped for a
// new connection.
TEST(ServerExchange, WaitsDoNotCountAsUnfinishedHandshakes) {
  Inbox<Exchange> waiting;
  RunningServer running({.max_unfinished_handshakes = 1});
  running.server.get("/", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  const std::uint16_t port = running.start();
  std::vector<RawClient> clients;
  std::vector<Exchange> exchanges;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(port).send(page_request());
    exchanges.push_back(*waiting.take());
  }
  for (std::size_t i = 0; i < 3; ++i) exchanges[i].respond(Response::text(std::to_string(i)));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(answer(clients[i]), "200 " + std::to_string(i));
}

TEST(ServerExchange, WhatWaitsWhenTheServerStopsReceives503) {
  Inbox<Exchange> waiting;
  RunningServer running;
  running.server.post("/{name}", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  const std::uint16_t port = running.start();
  RawClient client(port);
  client.send(counted("POST", "/a", "Hello"));
  const auto exchange = waiting.take();
  RawClient half(port);
  EXPECT_EQ(half.ask(request("POST", "/b", "Expect: 100-continue\r\nContent-Length: 5\r\n")),
            "HTTP/1.1 100 Continue\r\n\r\n");
  running.server.stop();
  EXPECT_TRUE(client.head().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(half.head().starts_with("HTTP/1.1 503 "));
  client.finish();
  half.finish();
  running.join();
  exchange->respond(Response::text("late"));
  EXPECT_EQ(exchange->request().body(), "Hello");
}

// Answers of many threads race with each other, with the end of the connections and with the loss
// of the last copy.
TEST(ServerExchange, AnswersOfManyThreadsRace) {
  constexpr int rounds = 200;
  Inbox<Exchange> waiting;
  RunningServer running({.threads = 2});
  running.server.post("/{name}", [&](Exchange exchange) { waiting.put(std::move(exchange)); });
  const std::uint16_t port = running.start();
  std::atomic<int> answered{0};
  const auto work = [&] {
    for (int i = 0; i < rounds; ++i) {
      auto exchange = waiting.take();
      if (!exchange) return;
      const int now = ++answered;
      std::thread twin;
      if (now % 10 == 0)
        twin = std::thread([copy = *exchange] { copy.respond(mirror(copy.request())); });
      if (now % 7 != 0) exchange->respond(Response::text("one"));
      exchange.reset();
      if (twin.joinable()) twin.join();
    }
  };
  std::thread first(work);
  std::thread second(work);
  for (int i = 0; i < 2 * rounds; ++i) {
    RawClient client(port);
    client.send(counted("POST", "/a", "Hello"));
    if (i % 3 == 0) continue;  // it leaves without the answer
    const std::string got = answer(client);
    EXPECT_TRUE(got == "200 one" || got == "200 POST a Hello" || got.starts_with("503 ")) << got;
  }
  first.join();
  second.join();
}

}  // namespace
}  // namespace tern::test
