// An Upgrade is answered at once, later, on another thread, twice or never; subprotocols.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <gtest/gtest.h>
#include <optional>
#include <stdexcept>
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

TEST(ServerUpgrade, IsAnsweredInTheHandler) {
  RunningServer running;
  running.server.route("/echo",
                       [](Upgrade upgrade) { upgrade.accept<Echo>({}, std::string("> ")); });
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(text("hi"));
  EXPECT_EQ(client.next(), "text > hi");
}

TEST(ServerUpgrade, IsAcceptedWithPlainFunctions) {
  Inbox<std::string> reported;
  RunningServer running({.log = [&](const LogRecord& record) {
    if (record.level == LogLevel::error) reported.put(std::string(record.message));
  }});
  running.server.route("/echo", [](Upgrade upgrade) { upgrade.accept<Handlers>({}, echo()); });
  running.server.route("/short", [](Upgrade upgrade) { upgrade.accept(echo()); });
  running.server.route("/all", [&](Upgrade upgrade) {
    upgrade.accept({.on_open = [](Connection& conn) { conn.send("open"); },
                    .on_message = [](Connection& conn, Message) { conn.close(); },
                    .on_close = [&](Connection&, const CloseInfo&) { reported.put("closed"); }},
                   {.protocols = {"chat"}});
  });
  running.server.route("/none", [](Upgrade upgrade) { upgrade.accept<Handlers>(); });
  const std::uint16_t port = running.start();
  for (const std::string path : {"/echo", "/short"}) {
    RawClient client(port);
    ASSERT_TRUE(client.upgrade(path));
    client.send(wire(Role::client, {text("hi"), closing(1000)}));
    EXPECT_EQ(client.next(), "text hi");
    EXPECT_EQ(client.next(), "close 1000");
    EXPECT_TRUE(client.ends());
  }
  RawClient all(port);
  ASSERT_TRUE(all.upgrade("/all", "Sec-WebSocket-Protocol: chat\r\n"));
  EXPECT_EQ(field(all.answer_head(), "Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(all.next(), "text open");
  all.send(wire(Role::client, {text("hi"), closing(1000)}));
  EXPECT_EQ(all.next(), "close 1000");
  EXPECT_EQ(reported.take(), "closed");
  RawClient none(port);
  ASSERT_TRUE(none.upgrade("/none"));
  none.send(wire(Role::client, text("hi")));
  EXPECT_EQ(none.next(), failure(Errc::handler_threw));
  EXPECT_NE(reported.take().value_or("").find("on_message"), std::string::npos);
}

// Adds routes and pages of an application that makes mistakes.
void add_faulty_routes(Server& server) {
  const auto accepts = [&server](std::string path, Accept answer) {
    server.route(std::move(path), [answer](Upgrade upgrade) { upgrade.accept(echo(), answer); });
  };
  accepts("/own", {.headers = {{"Connection", "close"}}});
  accepts("/value", {.headers = {{"X-Note", "two\nlines"}}});
  accepts("/limits", {.limits = Limits{.max_message_bytes = 0}});
  server.get("/page", [](const Request&) { return Response::text("").header("A b", "c"); });
  server.get("/status", [](const Request&) { return Response::status(101); });
  server.get("/fine", [](const Request&) { return Response::text(""); });
  server.fallback([](const Request&) { return Response::status(199); });
  server.get("/throws", [](const Request&) -> Response { throw std::runtime_error("oops"); });
  server.route("/decides", [](Upgrade) { throw std::runtime_error("oops"); });
}

// The log names the option or the rule that an operator has forgotten.
TEST(ServerUpgrade, TheLogNamesTheRefusalAndTheRemedy) {
  struct Line {
    std::string reported;
    std::string peer;
  };
  Inbox<Line> lines;
  RunningServer running({.log = [&](const LogRecord& record) {
    lines.put({std::string(record.message), std::string(record.remote_address)});
  }});
  running.server.route("/echo", echo());
  add_faulty_routes(running.server);
  const std::uint16_t port = running.start();
  const std::string unsent = "the answer of the application is not sent: ";
  const std::pair<std::string, std::string> cases[] = {
      {upgrade_request("Origin: https://evil.example\r\n"),
       "refused: the Origin \"https://evil.example\" is not allowed: the expected one is "
       "http://example.org, and allowed_origins can list others"},
      {upgrade_request("Origin: null\r\nOrigin: null\r\n"),
       "refused: there is more than one Origin"},
      {"GET /echo HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
       "refused: this is a WebSocket, and HTTP/1.0 cannot switch to it: a proxy on the way must "
       "pass on Upgrade and Connection by HTTP/1.1, as nginx does with \"proxy_http_version 1.1\""},
      {page_request("/echo"), "refused: this is a WebSocket: \"Upgrade: websocket\" is needed"},
      {upgrade_request({}, "/own"),
       "/own: " + unsent +
           "accept: headers: header field \"Connection\": tern writes this field itself"},
      {upgrade_request({}, "/value"),
       "/value: " + unsent +
           "accept: headers: header field \"X-Note\": the value has a control character"},
      {upgrade_request({}, "/limits"), "/limits: " + unsent +
                                           "accept: limits.max_message_bytes is 0, so nothing "
                                           "could ever pass"},
      {page_request("/page"),
       "/page: " + unsent + "header field \"A b\": the name is no token (RFC 9110 §5.1)"},
      {page_request("/status"), "/status: " + unsent + "status 101 is not 200 to 599"},
      {page_request("/none"), "the fallback: " + unsent + "status 199 is not 200 to 599"},
      // The log does not name the route of the request before.
      {page_request("/fine") + page_request("/none"),
       "the fallback: " + unsent + "status 199 is not 200 to 599"},
      {page_request("/throws"), "/throws: the page threw: oops"},
      {upgrade_request({}, "/decides"), "/decides: the route threw: oops"},
  };
  for (const auto& [request, reported] : cases) {
    RawClient client(port);
    const std::string head = client.ask(request);
    const auto line = lines.take();
    ASSERT_TRUE(line);
    EXPECT_EQ(line->reported, reported) << head;
    EXPECT_TRUE(line->peer.starts_with("127.0.0.1:")) << line->peer;
    if (!reported.starts_with("refused: ")) continue;
    // The peer receives the same text, but nothing about faults of the application.
    EXPECT_EQ("refused: " + client.body(std::stoul(field(head, "Content-Length"))), reported);
  }
}

TEST(ServerUpgrade, IsAnsweredLaterOnAnotherThread) {
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

TEST(ServerUpgrade, WithoutAnAnswerIs503) {
  RunningServer running;
  running.server.route("/echo", [](Upgrade) {});
  RawClient client(running.start());
  EXPECT_FALSE(client.upgrade());
  EXPECT_TRUE(client.answer_head().starts_with("HTTP/1.1 503 ")) << client.answer_head();
  EXPECT_EQ(field(client.answer_head(), "Connection"), "close");
}

TEST(ServerUpgrade, AnswersToALostPeerDoNothing) {
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

TEST(ServerUpgrade, AnswersAfterTheServersEndDoNothing) {
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

TEST(ServerUpgrade, SendsGoodFieldsAndRefusesBadOnes) {
  RunningServer running;
  running.server.route("/good", echo(), {.headers = {{"Set-Cookie", "a=b"}}});
  running.server.route("/bad", [](Upgrade upgrade) {
    upgrade.accept(echo(), {.headers = {{"X-Note", "two\r\nlines"}}});
  });
  const std::uint16_t port = running.start();
  RawClient good(port);
  ASSERT_TRUE(good.upgrade("/good"));
  EXPECT_EQ(field(good.answer_head(), "Set-Cookie"), "a=b");
  RawClient bad(port);
  EXPECT_FALSE(bad.upgrade("/bad"));
  EXPECT_TRUE(bad.answer_head().starts_with("HTTP/1.1 500 ")) << bad.answer_head();
}

TEST(ServerUpgrade, UsesTheLimitsOfTheRoute) {
  RunningServer running;
  running.server.route("/small", echo(), {.limits = Limits{.max_message_bytes = 10}});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/small"));
  client.send(text("0123456789"));
  EXPECT_EQ(client.next(), "text 0123456789");
  client.send(text("0123456789a"));
  EXPECT_EQ(client.next(), failure(Errc::message_too_big));
}

TEST(ServerUpgrade, Rfc6455_4_2_2_ChoosesTheClientsFirstKnownProtocol) {
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

}  // namespace
}  // namespace tern::test
