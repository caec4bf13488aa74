// Pages beside WebSocket on one port: keep-alive, HEAD, pipelining, errors.
#include "tern/tern.h"

#include "http/date.h"
#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

struct Pages {
  RunningServer running;
  std::uint16_t port;

  explicit Pages(ServerOptions options = {}) : running(std::move(options)) {
    auto& server = running.server;
    server.get("/", [](const Request& request) {
      return Response::html("hello " + request.query("name"));
    });
    server.get("/big", [body = std::make_shared<const std::string>(1 << 20, 'x')](const Request&) {
      return Response::shared(body, "text/plain");
    });
    server.get("/bad", [](const Request&) { return Response::text("x").header("A b", "c"); });
    server.get("/throws", [](const Request&) -> Response { throw std::runtime_error("oops"); });
    server.get("/both", [](const Request&) { return Response::text("page"); });
    server.route("/both", echo());
    server.route("/only", echo());
    port = running.start();
  }
};

TEST(ServerHttp, ServesPagesAndThenAnUpgradeOnOneConnection) {
  Pages pages;
  RawClient client(pages.port);
  for (const std::string name : {"ada", "grace"}) {
    const std::string head = client.ask(page_request("/?name=" + name));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
    EXPECT_EQ(field(head, "Content-Type"), "text/html; charset=utf-8");
    EXPECT_EQ(field(head, "Connection"), "(absent)");
    EXPECT_EQ(client.body(std::stoul(field(head, "Content-Length"))), "hello " + name);
  }
  ASSERT_TRUE(client.upgrade("/both"));
  client.send(text("hi"));
  EXPECT_EQ(client.next(), "text hi");
}

TEST(ServerHttp, PipelinedRequestsAreAnsweredInOrder) {
  Pages pages;
  RawClient client(pages.port);
  client.send(page_request("/?name=1") + page_request("/big") + page_request("/?name=3"));
  EXPECT_EQ(field(client.head(), "Content-Length"), "7");
  EXPECT_EQ(client.body(7), "hello 1");
  EXPECT_EQ(field(client.head(), "Content-Length"), "1048576");
  EXPECT_EQ(client.body(1 << 20), std::string(1 << 20, 'x'));
  EXPECT_EQ(field(client.head(), "Content-Length"), "7");
  EXPECT_EQ(client.body(7), "hello 3");
}

TEST(ServerHttp, Rfc9110_9_3_2_HeadHasNoBody) {
  Pages pages;
  RawClient client(pages.port);
  EXPECT_EQ(field(client.ask(page_request("/big", "HEAD")), "Content-Length"), "1048576");
  EXPECT_EQ(field(client.ask(page_request("/?name=b")), "Content-Length"), "7");
}

TEST(ServerHttp, Rfc9112_9_6_ClosesOnRequest) {
  Pages pages;
  RawClient client(pages.port);
  const std::string head = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_EQ(client.body(6), "hello ");
  EXPECT_TRUE(client.ends());
}

TEST(ServerHttp, OneRouteServesAPageAndAWebSocket) {
  Pages pages;
  RawClient client(pages.port);
  EXPECT_TRUE(client.ask(page_request("/both")).starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(client.body(4), "page");
  EXPECT_TRUE(client.upgrade("/both"));
}

TEST(ServerHttp, AnExceptionOfThePageIs500) {
  Pages pages;
  for (const std::string path : {"/bad", "/throws"}) {
    RawClient client(pages.port);
    const std::string head = client.ask(page_request(path));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 500 ")) << path << head;
    EXPECT_EQ(field(head, "Connection"), "close");
  }
}

TEST(ServerHttp, AClientThatSentFinReceivesThePage) {
  Pages pages;
  RawClient client(pages.port);
  client.send(page_request("/big"));
  client.finish();
  EXPECT_EQ(field(client.head(), "Content-Length"), "1048576");
  EXPECT_EQ(client.body(1 << 20).size(), 1u << 20);
  EXPECT_TRUE(client.ends());
}

// Health checks of load balancers send this, and proxies with their default options.
TEST(ServerHttp, Rfc9112_9_3_Http10GetsOnePageAConnection) {
  Pages pages;
  const std::pair<std::string, std::string> cases[] = {
      {"GET / HTTP/1.0\r\n\r\n", "200"},
      {"GET /?name=x HTTP/1.0\r\nHost: example.org\r\nConnection: keep-alive\r\n\r\n", "200"},
      {"HEAD / HTTP/1.0\r\n\r\n", "200"},
      {"OPTIONS / HTTP/1.0\r\n\r\n", "204"},
      {"GET /both HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "200"},
      {"GET /only HTTP/1.0\r\n\r\n", "426"},
      {"GET /nowhere HTTP/1.0\r\n\r\n", "404"},
      {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
  };
  for (const auto& [request, status] : cases) {
    RawClient client(pages.port);
    const std::string head = client.ask(request + page_request("/behind"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 " + status + ' ')) << request << head;
    EXPECT_TRUE(field(head, "Connection").starts_with("close")) << head;
    const bool bodiless = status == "204" || request.starts_with("HEAD");
    if (!bodiless) client.body(std::stoul(field(head, "Content-Length")));
    EXPECT_TRUE(client.ends()) << request;
  }
}

TEST(ServerHttp, Rfc9110_9_3_7_OptionsReturnsAllow) {
  Pages pages;
  RawClient client(pages.port);
  for (const std::string target : {"/", "/both", "*", "http://example.org/"}) {
    const std::string head = client.ask(page_request(target, "OPTIONS"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 204 ")) << target << head;
    EXPECT_EQ(field(head, "Allow"), "GET, HEAD, OPTIONS");
    EXPECT_EQ(field(head, "Content-Length"), "(absent)");
  }
}

TEST(ServerHttp, Rfc9112_3_2_2_AcceptsTargetsInAbsoluteForm) {
  Pages pages;
  RawClient client(pages.port);
  const std::string head = client.ask(page_request("http://other.example:81/?name=x"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
  EXPECT_EQ(client.body(7), "hello x");
  // The Host field is ignored, so the Origin must be that of the target.
  const std::string request =
      upgrade_request("Origin: http://other.example:81\r\n", "http://other.example:81/both");
  EXPECT_TRUE(client.ask(request).starts_with("HTTP/1.1 101 "));
  RawClient refused(pages.port);
  EXPECT_TRUE(
      refused.ask(upgrade_request("Origin: http://example.org\r\n", "http://other.example:81/both"))
          .starts_with("HTTP/1.1 403 "));
}

TEST(ServerHttp, Rfc9110_7_8_AnotherUpgradeReceivesThePage) {
  Pages pages;
  RawClient client(pages.port);
  for (const std::string target : {"/both", "/?name=x"}) {
    std::string request = upgrade_request({}, target);
    request.replace(request.find("websocket"), 9, "h2c");
    const std::string head = client.ask(request);
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
    EXPECT_EQ(field(head, "Connection"), "(absent)") << "it is kept";
    client.body(std::stoul(field(head, "Content-Length")));
  }
  EXPECT_TRUE(client.upgrade("/both"));
}

TEST(ServerHttp, Rfc9110_6_6_1_EachAnswerHasTheDateOfNow) {
  Pages pages({.max_connections = 4});
  std::vector<std::string> heads;
  const auto before = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (const std::string& request :
       {page_request(), page_request("/nowhere"), upgrade_request({}, "/both"),
        std::string("nonsense\r\n\r\n")}) {
    clients.push_back(std::make_unique<RawClient>(pages.port));
    heads.push_back(clients.back()->ask(request));
  }
  clients.push_back(std::make_unique<RawClient>(pages.port));
  heads.push_back(clients.back()->head());  // 503, because the four others are still open
  const auto after = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  for (const std::string& head : heads) {
    bool known = false;
    for (auto second = before; second <= after; second += std::chrono::seconds(1)) {
      const http::DateText text = http::format_date(second);
      known = known || field(head, "Date") == std::string_view(text.data(), text.size());
    }
    EXPECT_TRUE(known) << head;
  }
}

TEST(ServerHttp, AKeptConnectionIsClosedWhenIdle) {
  Pages pages({.timeouts = {.http_idle = std::chrono::milliseconds(100)}});
  RawClient client(pages.port);
  client.ask(page_request("/?name=x"));
  client.body(7);
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(client.read_error(), 0);
}

TEST(ServerHttp, ServesCountersInPrometheusFormat) {
  Pages pages;
  RawClient client(pages.port);
  client.ask(page_request("/?name=x"));
  client.body(7);
  RawClient plain(pages.port);
  plain.ask(page_request("/only"));  // its refusal has a text with quotes
  ASSERT_TRUE(client.upgrade("/both"));
  client.send(text("hi"));
  client.next();
  client.send(closing(1000));
  client.next();
  EXPECT_TRUE(client.ends());
  RawClient refused(pages.port);
  refused.ask(page_request("/both", "POST"));
  RawClient not_http(pages.port);
  not_http.ask("nonsense\r\n\r\n");
  pages.running.stop();
  const Counters counters = pages.running.server.counters();
  EXPECT_EQ(counters.connections_accepted, 4u);
  EXPECT_EQ(counters.upgrades, 1u);
  EXPECT_EQ(counters.messages_received, 1u);
  EXPECT_EQ(counters.messages_sent, 1u);
  ASSERT_EQ(counters.closes.size(), 1u);
  EXPECT_EQ(counters.closes[0].first, 1000);
  using Refusals = std::vector<std::pair<std::string, std::uint64_t>>;
  EXPECT_EQ(counters.refusals, (Refusals{{"http_malformed", 1}, {"upgrade_required", 1}}));
  const std::string text = counters.prometheus();
  EXPECT_NE(text.find("# TYPE tern_upgrades_total counter\ntern_upgrades_total 1\n"), text.npos);
  EXPECT_NE(text.find("tern_closes_total{code=\"1000\"} 1\n"), text.npos) << text;
  EXPECT_NE(text.find("tern_refusals_total{reason=\"upgrade_required\"} 1\n"), text.npos) << text;
}

// ---- streams

/// Reads the chunks of an answer; nothing if TCP ended before the last one.
std::optional<std::string> chunked_body(RawClient& client) {
  std::string body;
  for (;;) {
    std::string line;
    while (!line.ends_with("\r\n")) {
      const std::string next = client.body(1);
      if (next.empty()) return {};
      line += next;
    }
    const std::size_t size = std::stoul(line, nullptr, 16);
    const std::string chunk = client.body(size + 2);
    if (chunk.size() < size + 2) return {};
    if (size == 0) return body;
    body += chunk.substr(0, size);
  }
}

std::optional<std::string> next_number(int& number, int end) {
  if (number == end) return {};
  return std::to_string(number++) + '\n';
}

std::string numbers(int end) {
  std::string all;
  for (int i = 0; i < end; ++i) all += std::to_string(i) + '\n';
  return all;
}

TEST(ServerHttp, AStreamIsPulledToItsEndAndKeepsTheConnection) {
  RunningServer running;
  running.server.get("/numbers", [](const Request&) {
    return Response::stream("text/plain", [i = 0]() mutable { return next_number(i, 20'000); });
  });
  RawClient client(running.start());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(field(client.ask(page_request("/numbers")), "Transfer-Encoding"), "chunked");
    EXPECT_EQ(chunked_body(client), numbers(20'000));
  }
  const std::string head = client.ask("GET /numbers HTTP/1.0\r\n\r\n");
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_EQ(client.body(numbers(20'000).size()), numbers(20'000));
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(client.read_error(), 0);
}

// A FIN would be the end of the body for HTTP/1.0.
TEST(ServerHttp, AStreamThatThrowsIsLoggedAndResetsTheConnection) {
  Inbox<std::string> logged;
  RunningServer running({.log = [&](const LogRecord& record) {
    if (record.level == LogLevel::error) logged.put(std::string(record.message));
  }});
  running.server.get("/numbers", [](const Request&) {
    return Response::stream("text/plain", [i = 0]() mutable {
      if (i == 20'000) throw std::runtime_error("the database is gone");
      return next_number(i, -1);
    });
  });
  const std::uint16_t port = running.start();
  for (const std::string version : {"1.0", "1.1"}) {
    RawClient client(port);
    client.ask("GET /numbers HTTP/" + version + "\r\nHost: a\r\n\r\n");
    while (client.read_error() == 0 && !client.body(4096).empty()) {
    }
    EXPECT_EQ(client.read_error(), ECONNRESET) << version;
    EXPECT_EQ(logged.take(), "/numbers: the body of an answer threw: the database is gone");
  }
}

// The loop serves others between two turns of an endless stream. One of the three streams has only
// empty pieces, one has small pieces and no reader, and one is read as fast as possible.
TEST(ServerHttp, ABystanderIsServedBesideEndlessStreams) {
  RunningServer running({.threads = 1});
  std::atomic<std::uint64_t> pulled{0};
  running.server.get("/endless", [&pulled](const Request& request) {
    const std::size_t size = std::stoul(request.query("size"));
    return Response::stream("text/plain", [&pulled, size] {
      ++pulled;
      return std::optional(std::string(size, 'x'));
    });
  });
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient empty(port);
  RawClient unread(port);
  RawClient fast(port);
  empty.ask(page_request("/endless?size=0"));
  unread.ask(page_request("/endless?size=30"));
  fast.ask(page_request("/endless?size=60000"));
  std::atomic<bool> over{false};
  std::thread reader([&] {
    while (!over) fast.body(100'000);
  });
  RawClient bystander(port);
  EXPECT_TRUE(bystander.upgrade());
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t before = pulled;
    bystander.send(text("hi"));
    EXPECT_EQ(bystander.next(), "text hi");
    while (pulled == before) std::this_thread::yield();  // the streams go on
  }
  over = true;
  reader.join();
  running.stop(std::chrono::milliseconds(0));
}

}  // namespace
}  // namespace tern::test
