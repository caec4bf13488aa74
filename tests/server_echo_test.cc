// The echo over sockets: sizes, many connections, closing in every order.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

Limits large() {
  return {
      .max_message_bytes = 16 << 20, .max_queued_bytes = 64 << 20, .high_water_bytes = 16 << 20};
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return text;
}

TEST(ServerEcho, EchoesEverySizeUpTo16MiB) {
  // On a busy machine a long message may take longer than the silence limit.
  RunningServer running({.limits = large(), .timeouts = {.silence = Timeouts::Duration::max()}});
  running.server.route("/echo", echo());
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 4095u, 4096u, 65535u, 65536u, 131072u,
                                 524288u, 1048576u, 5000000u, 16777216u}) {
    const std::string payload = pattern(size);
    for (const unsigned opcode : {1u, 2u}) {
      std::thread sender([&] { client.send(Frame{opcode, payload}); });
      const auto answer = client.frame();
      sender.join();
      ASSERT_TRUE(answer) << size;
      EXPECT_EQ(answer->opcode, opcode);
      EXPECT_TRUE(answer->payload == payload) << size;
    }
  }
}

TEST(ServerEcho, PipelinedMessagesComeBackInOrder) {
  RunningServer running({.limits = large()});
  running.server.route("/echo", echo());
  RawClient client(running.start());
  ASSERT_TRUE(client.upgrade());
  std::string bytes;
  for (int i = 0; i < 2000; ++i) {
    bytes += wire(Role::client, text(std::to_string(i) + pattern(static_cast<std::size_t>(i) * 5)));
  }
  std::thread sender([&] { client.send(bytes); });
  for (int i = 0; i < 2000; ++i) {
    const auto answer = client.frame();
    ASSERT_TRUE(answer);
    ASSERT_TRUE(answer->payload.starts_with(std::to_string(i)));
  }
  sender.join();
}

TEST(ServerEcho, ServesAThousandConnections) {
  RunningServer running({.threads = 2});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<RawClient>(port));
    ASSERT_TRUE(clients.back()->connected());
    ASSERT_TRUE(clients.back()->send(upgrade_request()));
  }
  for (auto& client : clients) ASSERT_TRUE(client->head().starts_with("HTTP/1.1 101"));
  for (std::size_t i = 0; i < clients.size(); ++i) clients[i]->send(text(std::to_string(i)));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ASSERT_EQ(clients[i]->next(), "text " + std::to_string(i));
  }
  EXPECT_EQ(running.server.counters().connections_open, 1000u);
  EXPECT_EQ(running.server.counters().messages_received, 1000u);
}

TEST(ServerEcho, ReadsFramesInTheSegmentOfTheRequest) {
  RunningServer running;
  running.server.route("/echo", echo());
  RawClient client(running.start());
  client.send(upgrade_request() + wire(Role::client, {text("one"), text("two")}));
  EXPECT_TRUE(client.head().starts_with("HTTP/1.1 101"));
  EXPECT_EQ(client.next(), "text one");
  EXPECT_EQ(client.next(), "text two");
}

// A server that echoes and records how connections end.
struct Closing {
  RunningServer running;
  Inbox<CloseInfo> ends{};
  std::uint16_t port;

  explicit Closing(ServerOptions options = {}) : running(std::move(options)) {
    running.server.route(
        "/echo",
        Handlers{.on_message =
                     [](Connection& conn, Message message) {
                       if (message.text() == "close")
                         return conn.close(static_cast<CloseCode>(4000), "why");
                       conn.send(message);
                     },
                 .on_close = [this](Connection&, const CloseInfo& info) { ends.put(info); }});
    port = running.start();
  }
};

TEST(ServerClose, Rfc6455_7_TheClientClosesFirst) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.send(closing(1000, "bye"));
  EXPECT_EQ(client.next(), "close 1000");
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(client.read_error(), 0) << "the server ends TCP first, by FIN";
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode::normal);
  EXPECT_EQ(info->reason, "bye");
  EXPECT_TRUE(info->clean && info->by_peer && info->opened && !info->error);
}

TEST(ServerClose, Rfc6455_7_TheServerClosesFirst) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.send(text("close"));
  EXPECT_EQ(client.next(), "close 4000 why");
  client.send(text("not delivered any more"));
  client.send(closing(4000));
  EXPECT_TRUE(client.ends());
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, static_cast<CloseCode>(4000));
  EXPECT_TRUE(info->clean && !info->by_peer);
}

TEST(ServerClose, Rfc6455_7_BothCloseAtOnce) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("close"), closing(1001)}));
  EXPECT_EQ(client.next(), "close 4000 why");
  EXPECT_TRUE(client.ends());
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode::going_away);
  EXPECT_TRUE(info->clean && !info->by_peer);
}

TEST(ServerClose, Rfc6455_7_1_5_AFinWithoutACloseIs1006) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.finish();
  EXPECT_TRUE(client.ends());
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode::abnormal);
  EXPECT_EQ(info->error, Errc::end_of_stream);
  EXPECT_FALSE(info->clean);
}

TEST(ServerClose, Rfc6455_7_1_5_AResetIs1006) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.reset();
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode::abnormal);
  EXPECT_EQ(info->error, Errc::connection_reset);
}

// The request is read. Then the write of the answer finds that the connection is broken.
TEST(ServerClose, Rfc6455_7_1_5_AResetFoundByAWriteIsReportedAtOnce) {
  using namespace std::chrono_literals;
  const Timeouts patient{.silence = 5min, .pong = 5min, .close = 5min, .stall = 5min};
  Inbox<CloseInfo> ends;
  RunningServer running({.timeouts = patient});
  running.server.route(
      "/echo", Handlers{.on_message = [](Connection& conn, Message message) { conn.send(message); },
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  const std::uint16_t port = running.start();
  for (const std::string& behind : {std::string(), wire(Role::client, text("Hello"))}) {
    RawClient client(port);
    client.send(upgrade_request() + behind);
    client.reset();
    const auto info = ends.take();
    ASSERT_TRUE(info);
    EXPECT_EQ(info->error, Errc::connection_reset) << info->error.message();
  }
}

// An application that pauses until on_drain would wait without end, because nothing drains any
// more.
TEST(ServerClose, Rfc6455_7_1_5_APausedConnectionReportsAReset) {
  using namespace std::chrono_literals;
  const Timeouts patient{.silence = 5min, .pong = 5min, .close = 5min, .stall = 5min};
  Inbox<CloseInfo> ends;
  Inbox<bool> paused;
  RunningServer running({.limits = large(), .timeouts = patient});
  running.server.route(
      "/echo", Handlers{.on_message =
                            [&](Connection& conn, Message) {
                              EXPECT_EQ(conn.send(pattern(32 << 20)), SendStatus::congested);
                              conn.pause();
                              paused.put(true);
                            },
                        .on_drain = [](Connection& conn) { conn.resume(); },
                        .on_close = [&](Connection&, const CloseInfo& info) { ends.put(info); }});
  RawClient client(running.start(), 4096);
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("go"), text("kept until resume()")}));
  paused.take();
  client.reset();
  const auto info = ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::connection_reset) << info->error.message();
  EXPECT_TRUE(ends.empty());
}

TEST(ServerClose, Rfc6455_7_1_7_AProtocolErrorIsAnswered) {
  Closing server;
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.send(wire(Role::client, {text("fine"), Frame{3, ""}, text("not read")}));
  EXPECT_EQ(client.next(), "text fine");
  EXPECT_EQ(client.next(), failure(Errc::frame_reserved_opcode));
  EXPECT_TRUE(client.ends());
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->code, CloseCode::protocol_error);
  EXPECT_EQ(info->error, Errc::frame_reserved_opcode);
}

TEST(ServerClose, Rfc6455_5_5_1_APeerThatNeverAnswersIsDropped) {
  Closing server({.timeouts = {.close = std::chrono::milliseconds(200)}});
  RawClient client(server.port);
  ASSERT_TRUE(client.upgrade());
  client.send(text("close"));
  EXPECT_EQ(client.next(), "close 4000 why");
  EXPECT_TRUE(client.ends());
  const auto info = server.ends.take();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->error, Errc::close_timeout);
  EXPECT_EQ(info->code, CloseCode::abnormal);
}

}  // namespace
}  // namespace tern::test
