// X16: wrong lengths: each form (7, 16 and 64 bits) with small, huge and impossible values, and
// sums of fragments that exceed the limit or overflow. Pass: 1002 for lengths that RFC 6455 §5.2
// forbids (a short length in a long form, the top bit), 1009 for lengths over the limit; within the
// limit tern waits for the payload. No header allocates more than 64 KiB of heap. CI has the full
// size. UBSan runs it as well.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/bare_engine.h"
#include "support/socket_peer.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

constexpr std::uint64_t limit = 1 << 20;  // the default

struct Attack {
  std::string name;
  std::string bytes;  // of a client or a server, see attacks_of
  int code;           // of the Close that answers; 0: none
};

std::string header(Role sender, unsigned byte_0, std::uint64_t length, int bits) {
  std::string result(1, static_cast<char>(byte_0));
  result += length_bytes(length, bits, sender == Role::client);
  if (sender == Role::client) result += "\x37\xFA\x21\x3D";
  return result;
}

// The close code that RFC 6455 and the limit require for a length in this form.
int expected(std::uint64_t length, int bits) {
  if (bits == 64 && length >> 63 != 0) return 1002;
  if (bits == 16 && length < 126) return 1002;
  if (bits == 64 && length < 65'536) return 1002;
  return length > limit ? 1009 : 0;
}

std::vector<Attack> attacks_of(Role sender) {
  std::vector<Attack> all;
  constexpr std::uint64_t one = 1;
  const std::vector<std::uint64_t> lengths = {0,
                                              1,
                                              125,
                                              126,
                                              127,
                                              65'535,
                                              65'536,
                                              limit - 1,
                                              limit,
                                              limit + 1,
                                              (one << 31) - 1,
                                              one << 31,
                                              (one << 32) - 1,
                                              one << 32,
                                              (one << 32) + 5,
                                              (one << 63) - 1,
                                              one << 63,
                                              (one << 63) + 5,
                                              ~one,
                                              ~(one - one)};
  for (const std::uint64_t length : lengths) {
    for (const int bits : {16, 64}) {
      if (bits == 16 && length > 65'535) continue;
      all.push_back({std::to_string(length) + " in " + std::to_string(bits) + " bits",
                     header(sender, 0x82, length, bits), expected(length, bits)});
    }
  }
  // After a fragment: the sum counts, and must not overflow.
  const std::string fragment = wire(sender, binary(std::string(1'000, 'x'), false));
  for (const std::uint64_t length :
       {limit - 1'000, limit - 999, limit, (one << 32) - 1'000, (one << 63) - 1'000,
        (one << 63) - 1, ~(one - one) - 999, ~(one - one)}) {
    const int bits = 64;
    const int code = length >> 63 != 0 ? 1002 : length > limit - 1'000 ? 1009 : 0;
    all.push_back({"1000 and " + std::to_string(length),
                   fragment + header(sender, 0x80, length, bits), code});
  }
  // Control frames have no long lengths (§5.5).
  for (const std::uint64_t length : {std::uint64_t{126}, (one << 63) - 1, ~(one - one)}) {
    all.push_back({"ping of " + std::to_string(length),
                   header(sender, 0x89, length, length < 65'536 ? 16 : 64), 1002});
  }
  return all;
}

TEST(Faults, X16_NoHeaderMakesAnEngineAllocate) {
  for (const Role us : {Role::server, Role::client}) {
    std::size_t refused = 0;
    for (Attack& attack : attacks_of(us == Role::server ? Role::client : Role::server)) {
      SCOPED_TRACE(attack.name);
      Bare bare(us);
      const std::size_t before = heap_in_use();
      bare.engine.feed(0, std::as_writable_bytes(std::span(attack.bytes)));
      const Event event = bare.engine.next();
      bare.engine.settle();
      EXPECT_LE(heap_in_use(), before + (64 << 10));
      EXPECT_EQ(event.kind() == Event::Kind::closed, attack.code != 0);
      if (attack.code == 0) continue;
      EXPECT_EQ(static_cast<int>(bare.engine.close_info().code), attack.code);
      ++refused;
    }
    EXPECT_GE(refused, 20u);
  }
}

// The code and a reason.
void expect_close(const std::string& frame, const Attack& attack) {
  EXPECT_TRUE(frame.starts_with("close " + std::to_string(attack.code) + ' ')) << frame;
}

TEST(Faults, X16_TheEchoServerAnswersWrongLengths) {
  AttackedProgram server;
  std::uint64_t refused = 0;
  for (const Attack& attack : attacks_of(Role::client)) {
    SCOPED_TRACE(attack.name);
    RawClient client(server.port());
    ASSERT_TRUE(client.upgrade());
    ASSERT_TRUE(client.send(attack.bytes));
    if (attack.code == 0) {  // it waits for the payload and only answers the end
      client.finish();
      EXPECT_TRUE(client.ends());
      continue;
    }
    expect_close(client.next(), attack);
    EXPECT_TRUE(client.ends());
    ++refused;
  }
  if (!sanitized) {
    EXPECT_LE(server.grown(), std::size_t{512} << 10);
  }
  server.expect_fired(refused);
  server.expect_clean_end();
}

TEST(Faults, X16_AClientAnswersWrongLengths) {
  const std::vector<Attack> attacks = attacks_of(Role::server);
  strike_clients([&] {
    std::uint64_t refused = 0;
    for (const Attack& attack : attacks) {
      SCOPED_TRACE(attack.name);
      ScriptedPeer peer([&](Socket& socket) {
        socket.upgrade();
        socket.send(attack.bytes);
        if (attack.code == 0) return socket.shutdown_write();
        FrameSource frames(socket);
        expect_close(frames.next_text(), attack);
      });
      auto dialed = dial(peer.url());
      EXPECT_TRUE(dialed);
      std::string payload;
      const auto received = dialed->receive(payload);
      EXPECT_FALSE(received);
      const CloseInfo info = dialed->close_info();
      EXPECT_EQ(static_cast<int>(info.code), attack.code == 0 ? 1006 : attack.code);
      if (attack.code == 0) {
        EXPECT_EQ(info.error, Errc::end_of_stream);
      }
      refused += attack.code != 0;
      dialed->terminate();
      peer.join();
    }
    return refused;
  });
}

}  // namespace
}  // namespace tern::test
