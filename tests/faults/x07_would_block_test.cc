// X7: EAGAIN although epoll reported data or room, and false readiness.
//
// Pass: the log of events and answers is the same as in an undisturbed run. No wakeup is missed: a
// run takes at most twice the undisturbed time and one second.
//
// Half of all reads, writes and accepts return EAGAIN. Nearly half of the waits report a false
// readiness. In CI a run may take a minute, because the machine may be busy. FaultsLong checks the
// bound.
#include "faults/support/aftermath.h"
#include "faults/support/conversations.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <iostream>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using sys::Call;
using Clock = std::chrono::steady_clock;

// A peer that ends TCP without a Close frame may lose output that could not be written at that
// moment.
const std::string gone = make_error_code(Errc::end_of_stream).message() + '\n';

template <class Player>
std::vector<std::string> logs_of(Player& player, const std::vector<Conversation>& conversations) {
  std::vector<std::string> logs;
  for (const Conversation& conversation : conversations) {
    logs.push_back(conversation.name + ": " + player.play(conversation.bytes));
  }
  return logs;
}

struct Disturbance {
  std::uint64_t seed;
  sys::Faults blocked{{Call::recv, Call::readv, Call::send, Call::sendmsg, Call::accept4},
                      {.error = EAGAIN, .percent = 50, .seed = seed}};
  sys::SpuriousWakeups lies{40, seed};
};

template <class Player>
void expect_same_logs(Player& player, const std::vector<Conversation>& conversations, int seeds,
                      bool in_time) {
  const auto began = Clock::now();
  const auto undisturbed = logs_of(player, conversations);
  const auto bound = 2 * (Clock::now() - began) + std::chrono::seconds(1);
  for (int i = 0; i < seeds; ++i) {
    const auto seed = 20260107u + static_cast<std::uint64_t>(i);
    std::cout << "seed " << seed << '\n';
    const Disturbance disturbance{seed};
    const auto start = Clock::now();
    const auto logs = logs_of(player, conversations);
    for (std::size_t j = 0; j < logs.size(); ++j) {
      const bool promised = undisturbed[j].find(gone) == undisturbed[j].npos;
      EXPECT_EQ(logs[j], undisturbed[j].substr(0, promised ? std::string::npos : logs[j].size()));
      EXPECT_EQ(logs[j].find(gone) == logs[j].npos, promised);
    }
    EXPECT_LE(Clock::now() - start, in_time ? bound : Clock::duration(enough_time));
    EXPECT_GE(disturbance.blocked.fired(), conversations.size() / 4);
    EXPECT_GE(disturbance.lies.fired(), conversations.size() / 4);
  }
}

void disturb_server(int seeds, bool in_time) {
  const sys::Bystander bystander;
  LoggingHouse house;
  ASSERT_TRUE(house.start()) << house.why();
  const auto conversations = client_conversations();
  logs_of(house, conversations);
  house.forget_log();
  Aftermath aftermath(house);
  expect_same_logs(house, conversations, seeds, in_time);
  {
    const Disturbance disturbance{7};
    EXPECT_EQ(clean_echoes(house.port()), 1'001u);
    aftermath.expect_fired(disturbance.blocked.fired(), "EAGAIN", 1'000);
    aftermath.expect_fired(disturbance.lies.fired(), "lies", 100);
  }
  house.play({});
  house.forget_log();
  aftermath.expect_clean();
}

TEST(Faults, X07_FalseReadinessChangesNothingForAServer) { disturb_server(10, false); }
TEST(FaultsLong, X07_FalseReadinessDoesNotDelayAServer) { disturb_server(100, true); }

void disturb_client(int seeds, bool in_time) {
  Reciter reciter;
  reciter.start();
  const std::size_t descriptors = open_descriptors();
  expect_same_logs(reciter, server_conversations(), seeds, in_time);
  EXPECT_TRUE(eventually([&] { return open_descriptors() == descriptors; }));
}

// A peer that violated the protocol and has ended its half still receives the reason of the client.
TEST(Faults, X07_AClientsCloseFrameWaitsForRoom) {
  Reciter reciter;
  reciter.start();
  const sys::Fault blocked(Call::send, {.error = EAGAIN, .after = 1, .times = 20});
  EXPECT_EQ(reciter.play(wire(Role::server, Frame{3, "x"})),
            "closed 1002 'a frame has a reserved opcode' unclean by us, a frame has a reserved "
            "opcode\nclose 1002 a frame has a reserved opcode\n");
  EXPECT_EQ(blocked.fired(), 20u);
}

TEST(Faults, X07_FalseReadinessChangesNothingForAClient) { disturb_client(10, false); }
TEST(FaultsLong, X07_FalseReadinessDoesNotDelayAClient) { disturb_client(100, true); }

}  // namespace
}  // namespace tern::test
