// X1: no descriptor is left for a new connection (EMFILE).
//
// Pass: accepting pauses and resumes. While there are no descriptors, an idle loop wakes up at most
// 25 times a second and uses at most 5 % CPU. Waiting clients are served within 500 ms after
// descriptors are free. Open connections have no error. The log has one line for each episode.
//
// The limit is RLIMIT_NOFILE of this process. The test lowers it when the clients already have
// their sockets: 64 of 120 are served. In CI the 500 ms are minutes, because the machine may be
// busy. FaultsLong checks the 500 ms.
#include "faults/support/aftermath.h"

#include <algorithm>
#include <arpa/inet.h>
#include <deque>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t served = 64;
constexpr std::size_t clients = 120;

/// Allows no descriptor number from `most` on, as long as it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit lower = before_;
    lower.rlim_cur = most;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

std::vector<int> make_sockets() {
  std::vector<int> sockets;
  for (std::size_t i = 0; i < clients; ++i) {
    sockets.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  return sockets;
}

rlim_t lowest_free_descriptor() {
  const int fd = ::dup(STDERR_FILENO);
  ::close(fd);
  return static_cast<rlim_t>(fd);
}

// The kernel completes these connections itself. The server accepts them later, in order.
std::deque<RawClient> connect_all(const std::vector<int>& sockets, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::deque<RawClient> connected;
  for (const int fd : sockets) {
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    connected.emplace_back(RawClient::Connected{fd});
  }
  return connected;
}

bool echoes(RawClient& client) {
  return client.send(text("still here")) && client.next() == "text still here";
}

std::size_t pauses_logged(const House& house) {
  const auto log = house.log();
  return static_cast<std::size_t>(std::count_if(log.begin(), log.end(), [](const auto& line) {
    return line.starts_with("no connections are accepted for now: Too many open files");
  }));
}

struct Full {
  double wakeups_a_second;
  double cpu;  // of wall time
};

// Nothing happens for a while, because the waiting client is not served yet.
Full measure_while_full(House& house, RawClient& waiting) {
  const auto began = Clock::now();
  const auto cpu = house.cpu_time();
  const std::uint64_t wakeups = sys::count_of(sys::Call::epoll_wait);
  pollfd never{waiting.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&never, 1, 1'500), 0) << "served without a descriptor";
  const std::chrono::duration<double> wall = Clock::now() - began;
  const std::chrono::duration<double> used = house.cpu_time() - cpu;
  const auto turns = static_cast<double>(sys::count_of(sys::Call::epoll_wait) - wakeups);
  return {turns / wall.count(), used / wall};
}

// The descriptors of a running server: run() opens some of them.
std::size_t idle_descriptors(const House& house) {
  EXPECT_EQ(clean_echoes(house.port(), 1), 2u);
  EXPECT_TRUE(eventually([&] { return house.server.counters().connections_open == 0; }));
  return open_descriptors();
}

// Runs the whole episode. Returns how long the waiting clients waited once there was room.
Clock::duration fill_and_free(House& house, std::size_t idle) {
  EXPECT_TRUE(eventually([&] { return open_descriptors() == idle; }));
  const std::vector<int> sockets = make_sockets();
  const std::size_t logged = pauses_logged(house);
  const DescriptorLimit limit(lowest_free_descriptor() + served);
  std::deque<RawClient> all = connect_all(sockets, house.port());
  for (std::size_t i = 0; i < served; ++i) EXPECT_TRUE(all[i].upgrade()) << i;
  EXPECT_TRUE(eventually([&] { return pauses_logged(house) > logged; }));

  const Full full = measure_while_full(house, all[served]);
  EXPECT_LE(full.wakeups_a_second, 25);
  EXPECT_LE(full.cpu, 0.05);
  EXPECT_EQ(pauses_logged(house), logged + 1) << "one line an episode";
  for (std::size_t i = 0; i < served; ++i) EXPECT_TRUE(echoes(all[i])) << i;

  for (std::size_t i = served; i < clients; ++i) all[i].send(upgrade_request());
  for (int i = 0; i < 60; ++i) all.pop_front();
  const auto freed = Clock::now();
  for (std::size_t i = 4; i < all.size(); ++i) {
    EXPECT_TRUE(all[i].head().starts_with("HTTP/1.1 101 ")) << i;
  }
  const auto waited = Clock::now() - freed;
  for (RawClient& client : all) EXPECT_TRUE(echoes(client));
  return waited;
}

TEST(Faults, X01_WithoutDescriptorsAcceptingPausesAndResumes) {
  const sys::Bystander bystander;
  House house({.max_connections = 1'000});
  ASSERT_TRUE(house.start()) << house.why();
  const std::size_t idle = idle_descriptors(house);
  fill_and_free(house, idle);  // warms up the tables for that many connections
  house.forget_log();
  Aftermath aftermath(house);
  const std::uint64_t pauses = house.server.counters().accept_pauses;
  EXPECT_LT(fill_and_free(house, idle), enough_time);
  aftermath.expect_fired(house.server.counters().accept_pauses - pauses, "EMFILE");
  house.forget_log();
  aftermath.expect_clean();
}

TEST(FaultsLong, X01_WaitingClientsAreServedInHalfASecond) {
  const sys::Bystander bystander;
  House house({.max_connections = 1'000});
  ASSERT_TRUE(house.start()) << house.why();
  const std::size_t idle = idle_descriptors(house);
  for (int i = 0; i < 10; ++i) {
    EXPECT_LE(fill_and_free(house, idle), std::chrono::milliseconds(500)) << i;
  }
  EXPECT_GE(house.server.counters().accept_pauses, 10u);
}

}  // namespace
}  // namespace tern::test
