// X2: accept fails for other reasons: the system's tables are full, memory is short, a connection
// died in the queue, a filter forbids it.
//
// Pass: the server retries or pauses, and the listener works after each error. It uses at most 5 %
// CPU: with a pause, the loop wakes up at most 25 times a second.
//
// Errors that are retried at once are injected 1 000 times each. Each of the others costs a pause
// of 100 ms, so they are injected 5 times each in CI and 1 000 times in FaultsLong.
#include "faults/support/aftermath.h"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>

namespace tern::test {
namespace {

using Clock = std::chrono::steady_clock;

// Errors of one connection or of the network (accept(2)), and errors that need a pause.
constexpr int retried[] = {ECONNABORTED, EPERM,     EPROTO,     ENETDOWN,
                           ENETUNREACH,  EHOSTDOWN, EOPNOTSUPP, ETIMEDOUT};
constexpr int pausing[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};

TEST(Faults, X02_ErrorsOfOneConnectionAreSkipped) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  for (const int error : retried) {
    SCOPED_TRACE(std::strerror(error));
    const sys::Fault fault(sys::Call::accept4, {.error = error, .times = 1'000});
    EXPECT_EQ(clean_echoes(house.port(), 10), 11u);
    aftermath.expect_fired(fault.fired(), "accept4", 1'000);
  }
  EXPECT_TRUE(house.log().empty()) << house.log().front();
  aftermath.expect_clean();
}

void expect_pauses(House& house, Aftermath& aftermath, std::uint64_t times) {
  for (const int error : pausing) {
    SCOPED_TRACE(std::strerror(error));
    const std::size_t logged = house.log().size();
    const sys::Fault fault(sys::Call::accept4, {.error = error, .times = times});
    RawClient waiting(house.port());
    ASSERT_TRUE(eventually([&] { return fault.fired() > 0; }));
    const auto began = Clock::now();
    const auto cpu = house.cpu_time();
    const std::uint64_t wakeups = sys::count_of(sys::Call::epoll_wait);
    while (fault.fired() < times) ::poll(nullptr, 0, 10);
    const std::chrono::duration<double> wall = Clock::now() - began;
    const std::chrono::duration<double> used = house.cpu_time() - cpu;
    const auto turns = static_cast<double>(sys::count_of(sys::Call::epoll_wait) - wakeups);
    EXPECT_LE(turns, 25 * wall.count() + 2);
    EXPECT_LE(used / wall, 0.05);
    EXPECT_TRUE(waiting.upgrade());
    ASSERT_EQ(house.log().size(), logged + 1) << "all pauses of a shortage log one line";
    EXPECT_EQ(house.log().back(),
              std::string("no connections are accepted for now: ") + std::strerror(error));
    aftermath.expect_fired(fault.fired(), "accept4", times);
  }
}

TEST(Faults, X02_ShortagesPauseTheListener) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  expect_pauses(house, aftermath, 5);
  house.forget_log();
  aftermath.expect_clean();
}

TEST(FaultsLong, X02_ShortagesPauseTheListenerAThousandTimes) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  expect_pauses(house, aftermath, 1'000);
  house.forget_log();
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test
