// X14: a message of very many fragments: of one byte, empty ones, with pings between them.
// Pass: the first fragment beyond limits.max_fragments causes 1008; empty ones count. Until then
// the heap follows the payload and not the number of fragments. Pings between fragments are
// answered and do not count as fragments. The heap may have 16/3 of the payload and 64 KiB, because
// tern's buffers grow by a factor of four, and the pool of a loop keeps the smaller ones, which are
// together a third of the last. CI has the full size with the default limits, which takes a second.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/bare_engine.h"
#include "support/socket_peer.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <utility>

namespace tern::test {
namespace {

// `count` fragments of this payload. The last one does not end the message.
std::string fragments(Role sender, std::string_view payload, int count) {
  std::string all = wire(sender, binary(std::string(payload), false));
  const std::string each = wire(sender, more(std::string(payload), false));
  for (int i = 1; i < count; ++i) all += each;
  return all;
}

struct Flood {
  int at = 0;            // the fragment that ended the connection
  std::size_t heap = 0;  // the maximum beyond 16/3 of the payload
};

// Feeds fragment by fragment until the engine fails the connection.
Flood flood_engine(Bare& bare, std::string_view payload) {
  const Role them = bare.us == Role::server ? Role::client : Role::server;
  std::string first = wire(them, binary(std::string(payload), false));
  const std::string each = wire(them, more(std::string(payload), false));
  std::string bytes = first;
  bytes.reserve(64);
  const std::size_t before = heap_in_use();
  Flood flood;
  for (flood.at = 1; flood.at < 1'000'000; ++flood.at) {
    bare.engine.feed(0, std::as_writable_bytes(std::span(bytes)));
    if (bare.engine.next().kind() == Event::Kind::closed) return flood;
    bare.engine.settle();
    const std::size_t now = heap_in_use();
    const std::size_t received = payload.size() * static_cast<std::size_t>(flood.at);
    const std::size_t allowed = before + 16 * received / 3;
    flood.heap = std::max(flood.heap, now > allowed ? now - allowed : 0);
    bytes.assign(each);
  }
  return flood;
}

TEST(Faults, X14_AnEngineFailsAtTheFirstFragmentBeyondTheLimit) {
  for (const Role us : {Role::server, Role::client}) {
    const Limits limits{.max_fragments = us == Role::server ? 16'384u : 131'072u};
    for (const std::string_view payload : {"x", ""}) {
      Bare bare(us, {.limits = limits});
      const Flood flood = flood_engine(bare, payload);
      EXPECT_EQ(flood.at, static_cast<int>(limits.max_fragments) + 1) << "payload " << payload;
      EXPECT_LE(flood.heap, std::size_t{64} << 10);
      EXPECT_EQ(bare.engine.close_info().error, Errc::too_many_fragments);
      EXPECT_EQ(bare.engine.close_info().code, CloseCode::policy_violation);
    }
  }
}

// With a limit over 16 MiB each fragment must not cost a copy of all earlier ones. The growth of a
// buffer is visible in the heap.
TEST(Faults, X14_ALargeMessageIsNotCopiedForEachFragment) {
  constexpr std::size_t size = 20 << 20;
  constexpr std::size_t each = 4 << 10;
  Bare bare(Role::server, {.limits = {.max_message_bytes = 64 << 20}});
  std::string bytes = wire(Role::client, binary(std::string(each, 'x'), false));
  const std::string next = wire(Role::client, more(std::string(each, 'x'), false));
  int grown = 0;
  std::size_t heap = heap_in_use();
  for (std::size_t received = each; received <= size; received += each) {
    bare.engine.feed(0, std::as_writable_bytes(std::span(bytes)));
    ASSERT_FALSE(bare.engine.next());
    bare.engine.settle();
    grown += heap_in_use() != std::exchange(heap, heap_in_use());
    bytes.assign(next);
  }
  EXPECT_GE(grown, 4) << "the heap does not show the growth of the buffer";
  EXPECT_LE(grown, 16);
}

TEST(Faults, X14_TheEchoServerAnswersTooManyFragmentsWith1008) {
  AttackedProgram server;
  for (const std::string_view payload : {"x", ""}) {
    RawClient enough(server.port());
    ASSERT_TRUE(enough.upgrade());
    // At the limit: the last allowed fragment has FIN.
    ASSERT_TRUE(enough.send(fragments(Role::client, payload, 16'383)));
    ASSERT_TRUE(enough.send(more(std::string(payload))));
    const auto echo = enough.frame();
    ASSERT_TRUE(echo);
    EXPECT_EQ(echo->payload.size(), payload.size() * 16'384);
    enough.reset();

    RawClient flooder(server.port());
    ASSERT_TRUE(flooder.upgrade());
    flooder.send(fragments(Role::client, payload, 20'000));
    EXPECT_EQ(flooder.next(), failure(Errc::too_many_fragments));
    EXPECT_TRUE(flooder.ends());
  }
  if (!sanitized) {
    EXPECT_LE(server.grown(), std::size_t{1} << 20);
  }
  server.expect_fired(2);
  server.expect_clean_end();
}

TEST(Faults, X14_PingsBetweenFragmentsAreAnsweredAndNotCounted) {
  Attacked attacked({.limits = {.max_fragments = 2}});
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    RawClient client(port);
    EXPECT_TRUE(client.upgrade());
    client.send(text("two ", false));
    int pongs = 0;
    for (int i = 0; i < 10'000; i += 16) {
      std::string some;
      for (int k = i; k < i + 16; ++k) some += wire(Role::client, ping(std::to_string(k)));
      client.send(some);
      for (int k = i; k < i + 16; ++k) pongs += client.next() == "pong " + std::to_string(k);
    }
    EXPECT_EQ(pongs, 10'000);
    client.send(more("halves"));
    EXPECT_EQ(client.next(), "text two halves");
    client.reset();
    attacked.ends.take();
    return pongs;
  });
}

TEST(Faults, X14_AClientAnswersTooManyFragmentsWith1008) {
  strike_clients([&] {
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      socket.send(fragments(Role::server, "", 20'000));
      FrameSource frames(socket);
      EXPECT_EQ(frames.next_text(), failure(Errc::too_many_fragments));
      EXPECT_TRUE(socket.receive_end());
    });
    auto dialed = dial(peer.url(), {.limits = {.max_fragments = 16'384}});
    EXPECT_TRUE(dialed);
    std::string payload;
    const auto received = dialed->receive(payload);
    EXPECT_EQ(received.error().code(), Errc::too_many_fragments) << received.error().message();
    dialed->close();
    peer.join();
    return 1;
  });
}

}  // namespace
}  // namespace tern::test
