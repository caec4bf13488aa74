// The default limits of a server that concern many sockets, each at the limit and one beyond. The
// engine's defaults are in engine_defaults_test.cc.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <chrono>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <memory>
#include <string>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Clients = std::vector<std::unique_ptr<RawClient>>;

// Sets the soft limit of descriptors while it exists.
class Descriptors {
 public:
  explicit Descriptors(rlim_t soft) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    EXPECT_GE(before_.rlim_max, soft);
    const rlimit wanted{soft, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &wanted), 0);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_{};
};

// ---- connections

std::unique_ptr<RunningServer> server_for(rlim_t descriptors) {
  const Descriptors limit(descriptors);
  return std::make_unique<RunningServer>();
}

TEST(ServerDefaults, KeepsSixtyFourDescriptorsInReserve) {
  struct Row {
    rlim_t descriptors;
    std::size_t connections;
  };
  // If a reserve of 64 would leave fewer than 64, the limit is 64.
  for (const Row& row : {Row{200, 136}, Row{129, 65}, Row{128, 64}, Row{100, 64}}) {
    SCOPED_TRACE(row.descriptors);
    const auto running = server_for(row.descriptors);
    running->server.route("/echo", echo());
    const std::uint16_t port = running->start();
    Clients clients;
    for (std::size_t i = 0; i < row.connections; ++i) {
      clients.push_back(std::make_unique<RawClient>(port));
      ASSERT_TRUE(clients.back()->upgrade()) << i;
    }
    RawClient beyond(port);
    const std::string head = beyond.head();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 503 ")) << head;
    EXPECT_EQ(field(head, "Retry-After"), "1");
    EXPECT_EQ(field(head, "Connection"), "close");
    EXPECT_TRUE(beyond.ends());
    EXPECT_EQ(running->server.counters().connections_open, row.connections);
    EXPECT_EQ(running->server.counters().connections_rejected, 1u);
    for (auto& client : clients) client->send(text("alive"));
    for (auto& client : clients) EXPECT_EQ(client->next(), "text alive");
  }
}

// ---- unfinished handshakes

// 1024 may go on at once. For one more the oldest is dropped, and no other.
TEST(ServerDefaults, Allows1024UnfinishedHandshakes) {
  const Descriptors enough(4096);
  RunningServer running({.timeouts = {.handshake = 300s}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  Clients clients;
  for (int i = 0; i < 1024; ++i) {
    clients.push_back(std::make_unique<RawClient>(port));
    ASSERT_TRUE(clients.back()->connected());
  }
  RawClient new_client(port);
  ASSERT_TRUE(new_client.upgrade());
  EXPECT_TRUE(clients.front()->ends());
  for (std::size_t i = 1; i < clients.size(); ++i) clients[i]->send(upgrade_request());
  for (std::size_t i = 1; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i]->head().starts_with("HTTP/1.1 101 ")) << i;
  }
  const Counters counters = running.server.counters();
  EXPECT_EQ(counters.upgrades, 1024u);
  ASSERT_EQ(counters.refusals.size(), 1u);
  EXPECT_EQ(counters.refusals[0].first, "overloaded");
  EXPECT_EQ(counters.refusals[0].second, 1u);
}

// A handshake that is younger than a second is not dropped. The new connection waits at the port.
TEST(ServerDefaults, AHandshakeUnderASecondIsNotDropped) {
  RunningServer running({.max_unfinished_handshakes = 1});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  const auto begun = Clock::now();
  RawClient oldest(port);
  RawClient new_client(port);
  ASSERT_TRUE(new_client.upgrade());
  EXPECT_GE(Clock::now() - begun, 1s);
  EXPECT_TRUE(oldest.ends());
}

// A handshake that is over makes room at once, and is never dropped.
TEST(ServerDefaults, AFinishedHandshakeIsNotCounted) {
  RunningServer running({.max_unfinished_handshakes = 1});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient first(port);
  ASSERT_TRUE(first.upgrade());
  RawClient second(port);
  ASSERT_TRUE(second.upgrade());
  RawClient third(port);
  ASSERT_TRUE(third.upgrade());
  for (RawClient* client : {&first, &second, &third}) {
    client->send(text("alive"));
    EXPECT_EQ(client->next(), "text alive");
  }
  EXPECT_TRUE(running.server.counters().refusals.empty());
}

// ---- lingering

// Waits until the server has read all bytes of the client: the kernel has acknowledged them, and
// the loop has made a turn since then.
void let_the_server_read(const RawClient& client, RawClient& other) {
  int unacknowledged = 0;
  do {
    other.send(text("round"));
    ASSERT_EQ(other.next(), "text round");
    ASSERT_EQ(::ioctl(client.fd(), SIOCOUTQ, &unacknowledged), 0);
  } while (unacknowledged > 0);
  for (int i = 0; i < 3; ++i) {
    other.send(text("round"));
    ASSERT_EQ(other.next(), "text round");
  }
}

TEST(ServerDefaults, ARefusedPeerMaySend64KiBMore) {
  RunningServer running({.timeouts = {.silence = 300s, .close = 300s}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient other(port);
  ASSERT_TRUE(other.upgrade());
  RawClient refused(port);
  const std::string head = refused.ask("nonsense\r\n\r\n");
  ASSERT_TRUE(head.starts_with("HTTP/1.1 400 ")) << head;
  refused.body(std::stoul(field(head, "Content-Length")));
  ASSERT_TRUE(refused.ends());
  ASSERT_TRUE(refused.send(std::string(64 << 10, 'x')));
  let_the_server_read(refused, other);
  EXPECT_EQ(running.server.counters().connections_open, 2u) << "it still waits for the end";
  ASSERT_TRUE(refused.send("x"));
  const auto patience = Clock::now() + 30s;
  while (running.server.counters().connections_open > 1 && Clock::now() < patience) {
    let_the_server_read(refused, other);
  }
  EXPECT_EQ(running.server.counters().connections_open, 1u);
}

TEST(ServerDefaults, ALingeringConnectionEndsAtItsDeadline) {
  RunningServer running({.timeouts = {.close = 200ms}});
  running.server.route("/echo", echo());
  const std::uint16_t port = running.start();
  RawClient other(port);
  ASSERT_TRUE(other.upgrade());
  RawClient refused(port);
  EXPECT_TRUE(refused.ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  const auto patience = Clock::now() + 30s;
  while (running.server.counters().connections_open > 1 && Clock::now() < patience) {
    let_the_server_read(refused, other);
  }
  EXPECT_EQ(running.server.counters().connections_open, 1u) << "though the client never ended";
}

}  // namespace
}  // namespace tern::test
