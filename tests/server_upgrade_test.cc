// Upgrade: answered now, later, on another thread, twice, never; refusals; subprotocols; Origin.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

struct Echo {
  explicit Echo(std::string prefix = {}) : prefix_(std::move(prefix)) {}
  void on_message(Connection& conn, Message message) {
    conn.send(prefix_ + std::string(message.text()));
  }
  std::string prefix_;
};

TEST(ServerUpgrade, AnsweredInTheHandler) {
  RunningServer running;
  running.server.route("/echo",
                       [](Upgrade upgrade) { upgrade.accept<Echo>({}, std::string("> ")); });
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(text("hi"));
  EXPECT_EQ(client.next(), "text > hi");
}

TEST(ServerUpgrade, AnsweredLaterOnAnotherThreadWithFramesWaiting) {
  Inbox<Upgrade> asked;
  RunningServer running;
  running.server.route("/echo", [&](Upgrade upgrade) { asked.put(std::move(upgrade)); });
  RawClient client(running.start());
  client.send(upgrade_request("Cookie: login=ada\r\n") + wire(Role::client, text("early")));
  const auto upgrade = asked.take();
  ASSERT_TRUE(upgrade);
  EXPECT_EQ(upgrade->request().cookie("login"), "ada");
  EXPECT_EQ(upgrade->request().path(), "/echo");
  EXPECT_TRUE(upgrade->request().remote_address().starts_with("127.0.0.1:"));
  client.send(text("later"));
  upgrade->accept<Echo>();
  upgrade->accept<Echo>({}, std::string("second answers have no effect"));
  upgrade->respond(Response::status(500));
  EXPECT_TRUE(client.head().starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(client.next(), "text early");
  EXPECT_EQ(client.next(), "text later");
}

TEST(ServerUpgrade, NeverAnsweredIs503) {
  RunningServer running;
  running.server.route("/echo", [](Upgrade) {});
  RawClient client(running.start());
  EXPECT_FALSE(client.upgrade());
  EXPECT_TRUE(client.answer_head().starts_with("HTTP/1.1 503 ")) << client.answer_head();
  EXPECT_EQ(field(client.answer_head(), "Connection"), "close");
}

TEST(ServerUpgrade, AnswersToAPeerThatIsGoneHaveNoEffect) {
  Inbox<Upgrade> asked;
  RunningServer running;
  running.server.route("/echo", [&](Upgrade upgrade) { asked.put(std::move(upgrade)); });
  running.server.route("/other", echo());
  const std::uint16_t port = running.start();
  std::optional<RawClient> client(port);
  client->send(upgrade_request());
  const auto upgrade = asked.take();
  ASSERT_TRUE(upgrade);
  client->reset();
  client.reset();
  upgrade->accept<Echo>();
  RawClient other(port);
  ASSERT_TRUE(other.upgrade("/other"));
  running.stop();
  EXPECT_EQ(running.server.counters().connections_open, 0u);
}

TEST(ServerUpgrade, AnswersAfterTheServerEndedHaveNoEffect) {
  Inbox<Upgrade> asked;
  std::optional<Upgrade> kept;
  {
    RunningServer running;
    running.server.route("/echo", [&](Upgrade upgrade) { asked.put(std::move(upgrade)); });
    RawClient client(running.start());
    client.send(upgrade_request());
    kept = asked.take();
    running.stop(std::chrono::milliseconds(0));
  }
  ASSERT_TRUE(kept);
  kept->accept<Echo>();
  EXPECT_EQ(kept->request().path(), "/echo");
}

TEST(ServerUpgrade, ExtraFieldsAndBadOnes) {
  RunningServer running;
  running.server.route("/good", echo(), {.headers = {{"Set-Cookie", "a=b"}}});
  running.server.route("/bad", echo(), {.headers = {{"X-Note", "two\r\nlines"}}});
  const std::uint16_t port = running.start();
  RawClient good(port);
  ASSERT_TRUE(good.upgrade("/good"));
  EXPECT_EQ(field(good.answer_head(), "Set-Cookie"), "a=b");
  RawClient bad(port);
  EXPECT_FALSE(bad.upgrade("/bad"));
  EXPECT_TRUE(bad.answer_head().starts_with("HTTP/1.1 500 ")) << bad.answer_head();
}

TEST(ServerUpgrade, LimitsOfTheRoute) {
  RunningServer running;
  running.server.route("/small", echo(), {.limits = Limits{.max_message_bytes = 10}});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/small"));
  client.send(text("0123456789"));
  EXPECT_EQ(client.next(), "text 0123456789");
  client.send(text("0123456789a"));
  EXPECT_EQ(client.next(), "close 1009");
}

TEST(ServerUpgrade, Rfc6455_4_2_2_SubprotocolTheFirstOfTheClientsThatTheRouteKnows) {
  struct Case {
    std::string_view offered;
    std::string chosen;
  };
  RunningServer running;
  running.server.route("/echo",
                       Handlers{.on_open = [](Connection& conn) { conn.send(conn.protocol()); },
                                .on_message = [](Connection&, Message) {}},
                       {.protocols = {"chat", "v2"}});
  const std::uint16_t port = running.start();
  for (const Case& row :
       std::vector<Case>{{"Sec-WebSocket-Protocol: v2, chat\r\n", "v2"},
                         {"Sec-WebSocket-Protocol: v9\r\nSec-WebSocket-Protocol: chat\r\n", "chat"},
                         {"Sec-WebSocket-Protocol: v9\r\n", "(absent)"},
                         {"", "(absent)"}}) {
    RawClient client(port);
    ASSERT_TRUE(client.upgrade("/echo", row.offered)) << row.offered;
    EXPECT_EQ(field(client.answer_head(), "Sec-WebSocket-Protocol"), row.chosen) << row.offered;
    EXPECT_EQ(client.next(), row.chosen == "(absent)" ? "text" : "text " + row.chosen);
  }
}

struct Refusal {
  std::string name;
  std::string request;
  std::string status;
  std::vector<std::pair<std::string, std::string>> fields;
};

std::string without(std::string request, const std::string& line) {
  const std::size_t at = request.find(line);
  return request.erase(at, line.size());
}

std::string with(std::string_view from, std::string_view to) {
  std::string request = upgrade_request();
  return request.replace(request.find(from), from.size(), to);
}

TEST(ServerRefusal, Rfc6455_4_2_1_StatusAndFieldsOfEachFault) {
  const std::string host = "Host: example.org\r\n";
  const std::vector<Refusal> table = {
      {"plain GET",
       page_request("/echo"),
       "426",
       {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}}},
      {"other version",
       with("Version: 13", "Version: 8"),
       "426",
       {{"Sec-WebSocket-Version", "13"}}},
      {"no version",
       with("Sec-WebSocket-Version: 13\r\n", ""),
       "400",
       {{"Sec-WebSocket-Version", "13"}}},
      {"no key", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400", {}},
      {"short key", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), "400", {}},
      {"no connection token", with("Connection: Upgrade", "Connection: keep-alive"), "400", {}},
      {"post", with("GET", "POST"), "405", {{"Allow", "GET"}}},
      {"post a page", page_request("/", "POST"), "405", {{"Allow", "GET, HEAD"}}},
      {"no host", without(upgrade_request(), host), "400", {}},
      {"two hosts", with(host, host + host), "400", {}},
      {"body", upgrade_request("Content-Length: 3\r\n"), "400", {}},
      {"chunked body", upgrade_request("Transfer-Encoding: chunked\r\n"), "400", {}},
      {"foreign origin", upgrade_request("Origin: https://evil.example\r\n"), "403", {}},
      {"null origin", upgrade_request("Origin: null\r\n"), "403", {}},
      {"unknown route", upgrade_request({}, "/nowhere"), "404", {}},
      {"no origin form", with("GET /echo", "GET http://example.org/echo"), "400", {}},
      {"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), "505", {}},
      {"long line", page_request("/" + std::string(8200, 'a')), "414", {}},
      {"large head", upgrade_request("X: " + std::string(17000, 'a') + "\r\n"), "431", {}},
      {"bare LF", with("Host: example.org\r\n", "Host: example.org\n"), "400", {}},
      {"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400", {}},
  };
  RunningServer running;
  running.server.route("/echo", echo());
  running.server.get("/", [](const Request&) { return Response::html("<p>page"); });
  const std::uint16_t port = running.start();
  for (const Refusal& row : table) {
    RawClient client(port);
    // What stands behind a refused request is never parsed.
    const std::string head = client.ask(row.request + page_request("/"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 " + row.status + " ")) << row.name << '\n' << head;
    EXPECT_TRUE(field(head, "Connection").starts_with("close")) << row.name << '\n' << head;
    for (const auto& [name, value] : row.fields) EXPECT_EQ(field(head, name), value) << row.name;
    client.body(std::stoul(field(head, "Content-Length")));
    EXPECT_TRUE(client.ends()) << row.name;
  }
}

TEST(ServerRefusal, Rfc6455_10_2_OriginsThatPass) {
  RunningServer running({.allowed_origins = {"https://friend.example"}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  for (const std::string origin : {"http://example.org", "HTTP://EXAMPLE.ORG:80",
                                   "https://friend.example", "https://friend.example:443"}) {
    RawClient client(port);
    EXPECT_TRUE(client.upgrade("/echo", "Origin: " + origin + "\r\n")) << client.answer_head();
  }
}

TEST(ServerRefusal, Rfc9110_15_5_9_408WhenTheHeadNeverEnds) {
  RunningServer running({.timeouts = {.handshake = std::chrono::seconds(2)}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient begun(port);
  begun.send("GET /echo HTTP/1.1\r\nHost: exa");
  RawClient silent(port);
  EXPECT_TRUE(begun.head().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(silent.ends());
  EXPECT_EQ(silent.read_error(), 0);
}

}  // namespace
}  // namespace tern::test
