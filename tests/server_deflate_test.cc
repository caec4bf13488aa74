// Compression between servers and clients on real sockets: the agreement, and the number of bytes
// on the wire.
#include "tern/dial.h"
#include "tern/server.h"

#include "support/running_server.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

const Deflate both{.takeover = true, .peer_takeover = true};

std::string url_of(std::uint16_t port, const std::string& path) {
  return "ws://127.0.0.1:" + std::to_string(port) + path;
}

// Sends a message and receives the echo.
void expect_echo(BlockingClient& client, const std::string& message, SendOptions options = {}) {
  std::string echoed;
  ASSERT_TRUE(client.send(message, options));
  const auto received = client.receive(echoed);
  ASSERT_TRUE(received) << received.error().message();
  EXPECT_EQ(*received, MessageType::text);
  EXPECT_TRUE(echoed == message);
}

TEST(ServerDeflate, Rfc7692_7_EchoesEverySize) {
  for (const bool takeover : {false, true}) {
    RunningServer running({.deflate = takeover ? both : Deflate()});
    Inbox<std::optional<DeflateAgreement>> agreed;
    running.server.route("/echo",
                         Handlers{
                             .on_open = [&](Connection& conn) { agreed.put(conn.deflate()); },
                             .on_message = [](Connection& conn, Message msg) { conn.send(msg); },
                         });
    const std::uint16_t port = running.start();
    auto client = dial(url_of(port, "/echo"), {.deflate = takeover ? both : Deflate()});
    ASSERT_TRUE(client) << client.error().message();
    const DeflateAgreement expected{15, 15, takeover, takeover};
    EXPECT_EQ(client->deflate(), expected);
    EXPECT_EQ(agreed.take(), std::optional(std::optional(expected)));
    for (const std::size_t size : {0u, 1u, 1023u, 1024u, 16'384u, 70'000u, 1u << 20}) {
      expect_echo(*client, json(size));
      expect_echo(*client, json(size), {.compress = false});
    }
    const Counters counters = running.server.counters();
    EXPECT_LT(counters.bytes_sent, counters.bytes_received / 2) << "half came uncompressed";
    EXPECT_TRUE(client->close());
  }
}

TEST(ServerDeflate, IsOffUnlessBothEndsWantIt) {
  RunningServer off;
  RunningServer on({.deflate = Deflate()});
  for (RunningServer* const running : {&off, &on}) {
    running->server.route("/echo", echo());
    running->server.route("/plain", echo(), {.deflate = Deflate{.level = 0}});
    running->server.route("/packed", echo(), {.deflate = Deflate()});
    const std::uint16_t port = running->start();
    for (const std::string path : {"/echo", "/plain", "/packed"}) {
      for (const bool offers : {false, true}) {
        DialOptions options;
        if (offers) options.deflate = Deflate();
        auto client = dial(url_of(port, path), options);
        ASSERT_TRUE(client) << client.error().message();
        const bool wanted = path == "/packed" || (path == "/echo" && running == &on);
        EXPECT_EQ(client->deflate().has_value(), offers && wanted) << path;
        expect_echo(*client, json(3000));
        EXPECT_TRUE(client->close());
      }
    }
  }
}

// Another thread sends. Some connections can use the shared compressed form, and one cannot.
TEST(ServerDeflate, HandlesSendSharedMessages) {
  RunningServer running({.threads = 2, .deflate = both});
  Inbox<Handle> opened;
  running.server.route("/", Handlers{
                                .on_open = [&](Connection& conn) { opened.put(conn.handle()); },
                                .on_message = [](Connection&, Message) {},
                            });
  const std::uint16_t port = running.start();
  const std::string message = json(30'000);
  const SharedMessage shared(message);
  std::vector<Handle> handles;
  std::vector<BlockingClient> clients;
  for (const std::optional<Deflate>& offered :
       {std::optional<Deflate>(), std::optional(both), std::optional(Deflate()),
        std::optional(Deflate()), std::optional(Deflate{.peer_window_bits = 9})}) {
    auto client = dial(url_of(port, "/"), {.deflate = offered});
    ASSERT_TRUE(client) << client.error().message();
    clients.push_back(*std::move(client));
    const auto handle = opened.take();
    ASSERT_TRUE(handle);
    handles.push_back(*handle);
  }
  for (const Handle& handle : handles) {
    EXPECT_TRUE(handle.send(shared));
    EXPECT_TRUE(handle.send(message));
    EXPECT_TRUE(handle.send(message, {.compress = false}));
  }
  for (BlockingClient& client : clients) {
    for (int i = 0; i < 3; ++i) {
      std::string received;
      ASSERT_TRUE(client.receive(received));
      EXPECT_TRUE(received == message);
    }
    EXPECT_TRUE(client.close());
  }
}

TEST(ServerDeflate, Rfc6455_7_4_1_TooLargeAMessageIs1009) {
  RunningServer running({.limits = {.max_message_bytes = 100'000}, .deflate = Deflate()});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  auto client = dial(url_of(port, "/echo"), {.deflate = Deflate()});
  ASSERT_TRUE(client) << client.error().message();
  expect_echo(*client, std::string(100'000, 'x'));
  ASSERT_TRUE(client->send(std::string(100'001, 'x')));
  std::string payload;
  EXPECT_EQ(client->receive(payload).error().code(), Errc::closed);
  EXPECT_EQ(client->close_info().code, CloseCode::message_too_big);
}

}  // namespace
}  // namespace tern::test
