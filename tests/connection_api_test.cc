// Each function that a handler may call on its Connection, and the log after a fault of the
// application.
#include "tern/tern.h"

#include "support/certificates.h"
#include "support/raw_client.h"
#include "support/running_server.h"

#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace tern::test {
namespace {

Handlers on_message(UniqueFunction<void(Connection&, Message)> function) {
  return {.on_message = std::move(function)};
}

struct Silent {
  void on_message(Connection&, Message) {}
};

TEST(ConnectionApi, ReportsItsProperties) {
  Inbox<std::vector<std::string>> reported;
  Inbox<bool> posted;
  RunningServer running;
  running.server.route("/echo", on_message([&](Connection& conn, Message) {
                         const auto yes = [](bool open) { return open ? "open" : "closed"; };
                         std::vector<std::string> facts;
                         facts.emplace_back(conn.protocol());
                         facts.push_back(conn.remote_address());
                         facts.emplace_back(yes(conn.is_open()));
                         conn.send(std::string_view("12345"));
                         facts.push_back(std::to_string(conn.queued_bytes()));
                         conn.loop().post([&] { posted.put(true); });
                         conn.close();
                         facts.emplace_back(yes(conn.is_open()));
                         reported.put(facts);
                       }),
                       {.protocols = {"chat"}});
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade("/echo", "Sec-WebSocket-Protocol: chat\r\n"));
  sockaddr_in name{};
  socklen_t bytes = sizeof name;
  ASSERT_EQ(::getsockname(client.fd(), reinterpret_cast<sockaddr*>(&name), &bytes), 0);
  client.send(text("go"));
  EXPECT_EQ(reported.take(),
            (std::vector<std::string>{"chat", "127.0.0.1:" + std::to_string(ntohs(name.sin_port)),
                                      "open", "7", "closed"}));
  EXPECT_TRUE(posted.take());
  EXPECT_EQ(client.next(), "text 12345");
  EXPECT_EQ(client.next(), "close 1000");
}

// The peer's messages behind our Close frame are delivered, also after a pause.
TEST(ConnectionApi, Rfc6455_5_5_1_FinishDeliversUntilThePeersClose) {
  for (const bool pauses : {false, true}) {
    Inbox<std::string> received;
    Inbox<CloseInfo> ended;
    Inbox<Handle> paused;
    RunningServer running;
    Handlers handlers = on_message([&](Connection& conn, Message message) {
      received.put(std::string(message.text()));
      if (message.text() != "last") return;
      conn.send(std::string_view("answer"));
      conn.finish(CloseCode::normal, "bye");
      EXPECT_FALSE(conn.is_open());
      if (pauses) conn.pause();
      if (pauses) paused.put(conn.handle());
    });
    handlers.on_close = [&](Connection&, const CloseInfo& info) { ended.put(info); };
    running.server.route("/echo", std::move(handlers));
    RawClient client(running.start());
    ASSERT_TRUE(client.upgrade("/echo"));
    client.send(wire(Role::client, {text("last"), text("one")}));
    EXPECT_EQ(client.next(), "text answer");
    EXPECT_EQ(client.next(), "close 1000 bye");
    client.send(wire(Role::client, {text("two"), closing(1000), text("too late")}));
    EXPECT_EQ(received.take(), "last");
    if (pauses) {
      const auto handle = paused.take();
      ASSERT_TRUE(handle);
      handle->post([&](Connection& conn) {
        EXPECT_TRUE(received.empty()) << "nothing comes while it is paused";
        conn.resume();
      });
    }
    EXPECT_EQ(received.take(), "one");
    EXPECT_EQ(received.take(), "two");
    const auto info = ended.take();
    ASSERT_TRUE(info);
    EXPECT_TRUE(info->clean && !info->by_peer);
    EXPECT_TRUE(received.empty());
  }
}

// The call returns it. The log has it once, for a handler that ignores what send() returns.
TEST(ConnectionApi, Rfc6455_5_6_TextThatIsNotUtf8IsNotSent) {
  for (const bool tls : {false, true}) {
    Inbox<SendStatus> reported;
    Inbox<std::string> logged;
    Inbox<std::string> from;
    ServerOptions options{.log = [&](const LogRecord& record) {
      logged.put(std::string(record.message));
      from.put(std::string(record.remote_address));
    }};
    const Identity self{CertificateSpec{}};
    if (tls) {
      options.tls = TlsServer{.certificate_pem = self.certificate(), .private_key_pem = self.key()};
    }
    RunningServer running(std::move(options));
    running.server.route("/echo", on_message([&](Connection& conn, Message message) {
                           const Message bad(MessageType::text, message.bytes());
                           reported.put(conn.send(bad));
                           reported.put(conn.send(SharedMessage(bad)));
                           reported.put(conn.send("still there"));
                         }));
    const std::uint16_t port = running.start();
    for (int connection = 1; connection <= 2; ++connection) {
      auto client = dial((tls ? "wss" : "ws") + ("://localhost:" + std::to_string(port)) + "/echo",
                         {.tls = {.ca_pem = self.certificate()}});
      ASSERT_TRUE(client) << client.error().message();
      for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(client->send(Message(MessageType::binary, "\xC3\x28")));
        EXPECT_EQ(reported.take(), SendStatus::not_utf8);
        EXPECT_EQ(reported.take(), SendStatus::not_utf8);
        EXPECT_EQ(reported.take(), SendStatus::queued);
        std::string payload;
        ASSERT_TRUE(client->receive(payload));
        EXPECT_EQ(payload, "still there");
      }
      EXPECT_TRUE(client->close());
    }
    EXPECT_EQ(running.server.counters().messages_sent, 6u);
    running.stop();
    for (int connection = 1; connection <= 2; ++connection) {
      EXPECT_NE(logged.take()->find("not UTF-8"), std::string::npos);
      EXPECT_TRUE(from.take()->starts_with("127.0.0.1:"));
    }
    EXPECT_TRUE(logged.empty()) << "once for each connection";
  }
}

TEST(ConnectionApi, Rfc6455_5_5_2_SendsPings) {
  RunningServer running;
  running.server.route(
      "/echo", on_message([](Connection& conn, Message message) { conn.ping(message.bytes()); }));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(text("beat"));
  EXPECT_EQ(client.next(), "ping beat");
}

TEST(ConnectionApi, Rfc6455_7_4_ACodeThatMayNotBeSentIsReplacedAndLogged) {
  Inbox<std::string> logged;
  RunningServer running({.log = [&](const LogRecord& entry) {
    if (entry.level == LogLevel::warning) logged.put(std::string(entry.message));
  }});
  running.server.route("/echo", on_message([](Connection& conn, Message) {
                         conn.close(CloseCode::abnormal, "why");
                       }));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(text("go"));
  EXPECT_EQ(client.next(), "close 1011 why");
  EXPECT_EQ(logged.take(), "close: code 1006 may not be sent, 1011 is");
}

TEST(ConnectionApi, AnyExceptionEndsOneConnectionAndIsLogged) {
  Inbox<std::string> peers;
  Inbox<std::string> logged;
  RunningServer running({.log = [&](const LogRecord& entry) {
    if (entry.level != LogLevel::error) return;
    logged.put(std::string(entry.message));
    peers.put(std::string(entry.remote_address));
    throw std::runtime_error("the disk is full");
  }});
  running.server.route("/echo", on_message([](Connection&, Message message) {
                         if (message.text() == "exception") throw std::runtime_error("oops");
                         throw 42;
                       }));
  const std::uint16_t port = running.start();
  for (const std::string what : {"exception", "number"}) {
    RawClient client(port);
    ASSERT_TRUE(client.upgrade());
    client.send(text(what));
    EXPECT_EQ(client.next(), failure(Errc::handler_threw));
    EXPECT_TRUE(client.ends());
    EXPECT_EQ(logged.take(),
              what == "exception"
                  ? "/echo: on_message threw: oops"
                  : "/echo: on_message threw: an object that is not a std::exception");
    EXPECT_TRUE(peers.take().value_or("").starts_with("127.0.0.1:"));
  }
}

TEST(ConnectionApi, AFunctionPostedToTheLoopMayThrowToo) {
  Inbox<std::string> logged;
  RunningServer running(
      {.log = [&](const LogRecord& entry) { logged.put(std::string(entry.message)); }});
  running.server.route("/echo", on_message([](Connection& conn, Message message) {
                         if (message.text() == "post") {
                           conn.loop().post([] { throw std::runtime_error("posted"); });
                         }
                         conn.send(message);
                       }));
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  client.send(text("post"));
  EXPECT_EQ(client.next(), "text post");
  EXPECT_EQ(logged.take(), "posted");
  client.send(text("alive"));
  EXPECT_EQ(client.next(), "text alive");
}

TEST(ConnectionApi, AnUpgradeIsRefusedByTheApplication) {
  RunningServer running;
  running.server.route("/echo", [](Upgrade upgrade) {
    upgrade.respond(Response::status(401, "log in first").header("WWW-Authenticate", "Basic"));
    upgrade.accept<Silent>();  // too late: the first answer counts
  });
  RawClient client(running.start());
  const std::string head = client.ask(upgrade_request());
  EXPECT_TRUE(head.starts_with("HTTP/1.1 401 ")) << head;
  EXPECT_EQ(field(head, "WWW-Authenticate"), "Basic");
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_EQ(client.body(std::stoul(field(head, "Content-Length"))), "log in first");
  EXPECT_TRUE(client.ends());
}

}  // namespace
}  // namespace tern::test
