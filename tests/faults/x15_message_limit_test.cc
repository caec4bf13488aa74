// X15, for connections without compression: messages of the limit and of one byte more, whole and
// in fragments, one and a hundred at a time. Pass: the limit is accepted, and one byte more causes
// 1009 before it is stored. Memory follows the bytes received, never the length announced. A
// header alone may take 64 KiB. Later the bound is the sum of three parts: the buffer (at most four
// times the bytes received and at most the limit, because buffers grow by a factor of four), a
// third of that (the pool of the loop keeps the smaller buffers), and 64 KiB. The same bound holds
// for each of many attackers at once. CI has 20 of them; the full size is 100.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/bare_engine.h"
#include "support/socket_peer.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

constexpr std::size_t limit = 1 << 20;  // the default
constexpr std::size_t slack = 64 << 10;

// A message of `size` bytes in `count` fragments, which have the same size except the last.
std::string message_in(Role sender, std::size_t size, std::size_t count) {
  const std::size_t each = size / count;
  std::string all;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t bytes = i + 1 < count ? each : size - i * each;
    std::string payload(bytes, 'x');
    all += wire(sender, i == 0 ? binary(payload, count == 1) : more(payload, i + 1 == count));
  }
  return all;
}

TEST(Faults, X15_AnEnginesMemoryFollowsWhatItReceived) {
  for (const Role us : {Role::server, Role::client}) {
    const Role them = us == Role::server ? Role::client : Role::server;
    Bare bare(us);
    std::string header = wire_header(them, binary({}), limit);
    std::string piece(1'000, 'x');
    const std::size_t before = heap_in_use();
    bare.engine.feed(0, std::as_writable_bytes(std::span(header)));
    EXPECT_FALSE(bare.engine.next());
    bare.engine.settle();
    EXPECT_LE(heap_in_use(), before + slack) << "the header alone";
    std::size_t received = 0;
    for (; received + piece.size() < limit; received += piece.size()) {
      const std::size_t buffer = std::min(4 * (received + piece.size()), limit);
      const std::size_t allowed = buffer + buffer / 3 + slack;
      const std::size_t in_room = std::min(bare.engine.read_room().size(), piece.size());
      const auto bytes = std::as_writable_bytes(std::span(piece));
      std::copy_n(bytes.begin(), in_room, bare.engine.read_room().begin());
      bare.engine.feed(in_room, bytes.subspan(in_room));
      ASSERT_FALSE(bare.engine.next());
      bare.engine.settle();
      ASSERT_LE(heap_in_use(), before + allowed) << received;
    }
    EXPECT_GT(received, limit - 2 * piece.size());
  }
}

TEST(Faults, X15_TheLimitIsAcceptedAndOneByteMoreIs1009) {
  AttackedProgram server;
  for (const std::size_t count : {1u, 2u, 1'000u}) {
    RawClient fits(server.port());
    ASSERT_TRUE(fits.upgrade());
    ASSERT_TRUE(fits.send(message_in(Role::client, limit, count)));
    const auto echo = fits.frame();
    ASSERT_TRUE(echo);
    EXPECT_EQ(echo->payload.size(), limit);
    fits.reset();

    RawClient beyond(server.port());
    ASSERT_TRUE(beyond.upgrade());
    beyond.send(message_in(Role::client, limit + 1, count));
    EXPECT_EQ(beyond.next(), failure(Errc::message_too_big)) << count;
    EXPECT_TRUE(beyond.ends());
  }
  server.expect_fired(3);
  server.expect_clean_end();
}

// Each attacker announces a whole message, or sends all of it except one byte.
void attack_at_once(std::size_t attackers) {
  AttackedProgram server;
  const std::string header = wire_header(Role::client, binary({}), limit);
  for (const std::size_t sent : {std::size_t{0}, std::size_t{2'000}, limit - 1}) {
    Crowd crowd;
    for (std::size_t i = 0; i < attackers; ++i) {
      crowd.push_back(std::make_unique<CrowdClient>(server.port()));
      crowd.back()->send(upgrade_request() + header + std::string(sent, 'x'));
    }
    EXPECT_TRUE(eventually([&] {
      serve(crowd, 10);
      return std::all_of(crowd.begin(), crowd.end(),
                         [](const auto& each) { return each->open() && each->unsent() == 0; });
    }));
    const std::size_t pool = 8 << 20;  // the maximum that a loop keeps
    const std::size_t allowed = attackers * (std::min(4 * sent, limit) + slack) + pool;
    if (!sanitized) {
      EXPECT_LE(server.grown(), allowed) << sent;
    }
    // One byte more than announced begins another frame with a reserved opcode, so all connections
    // end.
    for (auto& each : crowd) each->send(std::string(limit - sent, 'x') + '\x7F' + "\x80");
    std::size_t failed = 0;
    EXPECT_TRUE(eventually([&] {
      serve(crowd, 10);
      for (auto& each : crowd) {
        for (const Frame& frame : each->frames())
          failed += to_string(frame).starts_with("close 1002 a ");
      }
      return std::all_of(crowd.begin(), crowd.end(),
                         [](const auto& each) { return each->ended(); });
    }));
    EXPECT_EQ(failed, attackers);
  }
  server.expect_fired(attackers);
  server.expect_clean_end();
}

TEST(Faults, X15_TwentyAtOnceHoldOnlyWhatTheySent) { attack_at_once(20); }
TEST(FaultsLong, X15_AHundredAtOnceHoldOnlyWhatTheySent) { attack_at_once(100); }

TEST(Faults, X15_AClientAcceptsItsLimitAndOneByteMoreIs1009) {
  strike_clients([&] {
    for (const std::size_t size : {limit, limit + 1}) {
      ScriptedPeer peer([&](Socket& socket) {
        socket.upgrade();
        socket.send(message_in(Role::server, size, 7));
        FrameSource frames(socket);
        EXPECT_EQ(frames.next_text(),
                  size == limit ? "close 1000" : failure(Errc::message_too_big));
        if (size == limit) socket.send(closing(1000));
      });
      auto dialed = dial(peer.url());
      EXPECT_TRUE(dialed);
      std::string payload;
      const auto received = dialed->receive(payload);
      EXPECT_EQ(static_cast<bool>(received), size == limit);
      if (received) {
        EXPECT_EQ(payload.size(), limit);
      }
      if (!received) {
        EXPECT_EQ(received.error().code(), Errc::message_too_big);
      }
      dialed->close();
      peer.join();
    }
    return 1;
  });
}

}  // namespace
}  // namespace tern::test
