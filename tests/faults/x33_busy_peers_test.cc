// X33: peers that send legal traffic which is much work or whose answers fill memory: requests for
// pages whose answers are not read, frames that inflate a thousandfold, tiny frames without end.
// Pass: the resident memory of the server stays within a bound for each peer, a bystander's echoes
// go on meanwhile, and a stop keeps its deadline. What such a peer gets done before another one's
// turn is counted in server_fairness_test.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/zlib_peer.h"

#include <chrono>
#include <gtest/gtest.h>
#include <list>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t peers = 16;

std::string repeat(std::string_view bytes, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += bytes;
  return all;
}

// Sends the same block again and again, never waits, and reads nothing.
class Flood {
 public:
  Flood(int fd, std::string block) : fd_(fd), block_(std::move(block)) {}

  // What the socket takes now, at most a megabyte.
  void push() {
    for (std::size_t pushed = 0; pushed < (1 << 20);) {
      const ssize_t put =
          ::send(fd_, block_.data() + at_, block_.size() - at_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put <= 0) return;
      pushed += static_cast<std::size_t>(put);
      sent_ += static_cast<std::size_t>(put);
      at_ = (at_ + static_cast<std::size_t>(put)) % block_.size();
    }
  }
  std::size_t sent() const { return sent_; }

 private:
  int fd_;
  std::string block_;
  std::size_t at_ = 0;
  std::size_t sent_ = 0;
};

const std::string& page_requests() {
  static const std::string all = repeat("GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n", 1'000);
  return all;
}

// Pushes while a bystander has this many echoes, each of which must come.
void push_during_echoes(std::list<Flood>& floods, RawClient& bystander, int echoes) {
  for (int i = 0; i < echoes; ++i) {
    for (Flood& flood : floods) flood.push();
    ASSERT_TRUE(bystander.send(text("still there")));
    ASSERT_EQ(bystander.next(), "text still there");
  }
}

// An answer is five times as long as its request, and none is read. What the server takes in is
// what fits in the kernel's buffers and 64 KiB beyond; so is what it holds.
TEST(Faults, X33_PagesThatAreNotReadTakeNoMemory) {
  AttackedProgram server;
  std::list<RawClient> clients;
  std::list<Flood> floods;
  for (std::size_t i = 0; i < peers; ++i) {
    floods.emplace_back(clients.emplace_back(server.port(), 64 << 10).fd(), page_requests());
  }
  RawClient bystander(server.port());
  ASSERT_TRUE(bystander.upgrade());
  push_during_echoes(floods, bystander, 200);
  std::size_t sent = 0;
  for (const Flood& flood : floods) sent += flood.sent();
  EXPECT_GE(sent, peers * (100 << 10)) << "the attack is too small to show anything";
  EXPECT_LE(sent, peers * (8 << 20)) << "the server reads on though nothing is read from it";
  if (!sanitized) {
    EXPECT_LE(server.grown(), peers * (256 << 10));
  }
  server.expect_fired(sent);
  for (RawClient& client : clients) client.reset();
  bystander.reset();
  server.expect_clean_end();
}

// Six bytes that are an event each: of what a read brought only a part is handled in a turn, and
// the rest is kept.
TEST(Faults, X33_TinyFramesTakeLittleMemory) {
  AttackedProgram server;
  std::list<RawClient> clients;
  std::list<Flood> floods;
  const std::string frames = repeat(wire(Role::client, pong("")), 20'000);
  for (std::size_t i = 0; i < peers; ++i) {
    RawClient& client = clients.emplace_back(server.port());
    ASSERT_TRUE(client.upgrade());
    floods.emplace_back(client.fd(), frames);
  }
  RawClient bystander(server.port());
  ASSERT_TRUE(bystander.upgrade());
  push_during_echoes(floods, bystander, 100);
  if (!sanitized) {
    EXPECT_LE(server.grown(), peers * (640 << 10));
  }
  server.expect_fired(floods.front().sent());
  for (RawClient& client : clients) client.reset();
  bystander.reset();
  server.expect_clean_end();
}

// Each frame of 1 KiB is 1 MiB of work. Behind a Close nothing is inflated, so the stop is not
// late, although the kernel holds frames for many seconds of work.
TEST(Faults, X33_AStopIsOnTimeWhilePeersSendWhatInflates) {
  Attacked attacked({.deflate = Deflate()});
  const std::uint16_t port = attacked.start();
  const std::string frames = repeat(
      wire(Role::client,
           compressed(binary(ZlibSender().message(std::string(std::size_t{1} << 20, '\0'))))),
      200);
  std::list<RawClient> clients;
  std::list<Flood> floods;
  for (std::size_t i = 0; i < 2 * peers; ++i) {
    RawClient& client = clients.emplace_back(port);
    ASSERT_TRUE(client.upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    floods.emplace_back(client.fd(), frames);
  }
  for (Flood& flood : floods) flood.push();
  const auto began = std::chrono::steady_clock::now();
  attacked.stop(1s);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 6s) << "a second, and a busy machine";
}

}  // namespace
}  // namespace tern::test
