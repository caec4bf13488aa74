// X13: a peer sends pings of 125 bytes without end and never reads a pong.
// Pass: resident memory grows by at most 1.5 MiB, because the number of waiting pongs is bounded
// and the newest replaces the last one. The flooder is served, paused or dropped. Others are served
// meanwhile, and their delay (p99) is at most twice that of an idle server, with an allowance for
// busy machines. CI sends 200 000 pings; the full size is 1 000 000.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/socket_peer.h"

#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string pings(Role sender, int count, int first = 0) {
  std::string all;
  for (int i = first; i < first + count; ++i) {
    std::string payload = std::to_string(i);
    payload.resize(125, '.');
    all += wire(sender, ping(payload));
  }
  return all;
}

// The p99 of the delay of `count` echoes.
std::chrono::nanoseconds p99_of_echoes(std::uint16_t port, int count) {
  RawClient client(port);
  EXPECT_TRUE(client.upgrade());
  std::vector<std::chrono::nanoseconds> delays;
  for (int i = 0; i < count; ++i) {
    const auto begun = Clock::now();
    EXPECT_TRUE(client.send(text("x")));
    EXPECT_EQ(client.next(), "text x");
    delays.push_back(Clock::now() - begun);
  }
  std::sort(delays.begin(), delays.end());
  return delays[delays.size() * 99 / 100];
}

void flood(int count) {
  AttackedProgram server;
  const auto idle = p99_of_echoes(server.port(), 1'000);
  server.take_level();
  std::atomic<bool> over = false;
  std::atomic<int> sent = 0;
  std::thread flooder([&] {
    RawClient client(server.port(), 4'096);
    EXPECT_TRUE(client.upgrade());
    for (; sent < count && !over; sent += 100) {
      const std::string some = pings(Role::client, 100, sent);
      if (!client.send(some)) break;  // the server may also drop the flooder
    }
    over = true;
    client.reset();
  });
  std::chrono::nanoseconds busy{0};
  std::size_t most = 0;
  do {
    busy = std::max(busy, p99_of_echoes(server.port(), 100));
    most = std::max(most, server.grown());
  } while (!over);
  flooder.join();
  EXPECT_GE(sent, count) << "pings are read, although the peer reads no pongs";
  if (!sanitized) {
    // The loop's buffer of 512 KiB, once it was filled, and the bytes read and not handled yet.
    EXPECT_LE(most, std::size_t{3} << 19);
  }
  EXPECT_LE(busy, 2 * idle + 1s);
  testing::Test::RecordProperty("p99_idle_us", static_cast<int>(idle / 1us));
  testing::Test::RecordProperty("p99_flooded_us", static_cast<int>(busy / 1us));
  testing::Test::RecordProperty("grown_bytes", static_cast<int>(most));
  server.expect_fired(static_cast<std::uint64_t>(sent));
  server.expect_clean_end();
}

TEST(Faults, X13_PongsToAPeerThatDoesNotReadAreBounded) { flood(200'000); }
TEST(FaultsLong, X13_PongsToAMillionPingsAreBounded) { flood(1'000'000); }

// When it reads at last, it receives few pongs, and the newest is among them.
TEST(Faults, X13_TheNewestPongIsKept) {
  constexpr int count = 100'000;  // 13 MB, more than the kernel buffers
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    RawClient client(port, 4'096);
    EXPECT_TRUE(client.upgrade());
    for (int i = 0; i < count; i += 1'000) EXPECT_TRUE(client.send(pings(Role::client, 1'000, i)));
    client.send(text("done"));
    int last = -1;
    int pongs = 0;
    for (auto frame = client.frame(); frame && frame->opcode == 10; frame = client.frame()) {
      EXPECT_GT(std::stoi(frame->payload), last) << "in order";
      last = std::stoi(frame->payload);
      ++pongs;
    }
    EXPECT_EQ(last, count - 1);
    EXPECT_LT(pongs, count) << "the kernel took them all: nothing was left out";
    client.reset();
    attacked.ends.take();
    return count - pongs;
  });
}

// A server that floods its client and reads nothing.
TEST(Faults, X13_PongsToAServerThatDoesNotReadAreBounded) {
  constexpr int count = 100'000;
  strike_clients([&] {
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      for (int i = 0; i < count; i += 1'000) {
        EXPECT_TRUE(socket.send(pings(Role::server, 1'000, i)));
      }
      EXPECT_TRUE(socket.send(text("done")));
      EXPECT_TRUE(socket.receive_end());
    });
    auto dialed = dial(peer.url());
    EXPECT_TRUE(dialed);
    std::string payload;
    const std::size_t before = heap_in_use();
    EXPECT_TRUE(dialed->receive(payload));
    EXPECT_EQ(payload, "done");
    EXPECT_LE(heap_in_use(), before + (1 << 20));
    dialed->terminate();
    peer.join();
    return count;
  });
}

}  // namespace
}  // namespace tern::test
