// Timers in virtual time. Their order is compared with sorting.
#include "net/timers.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace {

using tern::net::Timer;
using tern::net::Timers;
using time_point = Timer::time_point;

time_point at(std::int64_t nanoseconds) {
  return time_point(std::chrono::nanoseconds(nanoseconds));
}

struct Alarm final : Timer {
  void on_timer(time_point now) noexcept override {
    ++fired;
    last = now;
    if (then) then();
  }
  int fired = 0;
  time_point last{};
  std::function<void()> then{};
};

TEST(Timers, FireInTheOrderOfTheirTimes) {
  Timers timers;
  Alarm a, b, c;
  std::string order;
  a.then = [&] { order += 'a'; };
  b.then = [&] { order += 'b'; };
  c.then = [&] { order += 'c'; };
  timers.arm(c, at(30));
  timers.arm(a, at(10));
  timers.arm(b, at(20));
  EXPECT_EQ(timers.next_deadline(), at(10));
  timers.fire(at(9));
  EXPECT_EQ(order, "");
  timers.fire(at(25));
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(a.last, at(25));
  EXPECT_FALSE(a.armed());
  EXPECT_TRUE(c.armed());
  EXPECT_EQ(timers.next_deadline(), at(30));
  timers.fire(at(30));
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(timers.next_deadline(), time_point::max());
}

TEST(Timers, RearmingReplacesTheTime) {
  Timers timers;
  Alarm a, b;
  timers.arm(a, at(10));
  timers.arm(b, at(20));
  timers.arm(a, at(30));  // later
  EXPECT_EQ(timers.next_deadline(), at(20));
  timers.arm(a, at(5));  // earlier
  EXPECT_EQ(timers.next_deadline(), at(5));
  timers.arm(a, time_point::max());  // never
  EXPECT_FALSE(a.armed());
  timers.fire(at(100));
  EXPECT_EQ(a.fired, 0);
  EXPECT_EQ(b.fired, 1);
}

TEST(Timers, ArmNoLaterKeepsTheEarlierTime) {
  Timers timers;
  Alarm a;
  timers.arm_no_later(a, at(10));
  timers.arm_no_later(a, at(20));
  EXPECT_EQ(timers.next_deadline(), at(10));
  timers.arm_no_later(a, at(5));
  EXPECT_EQ(timers.next_deadline(), at(5));
}

TEST(Timers, CancelDisarms) {
  Timers timers;
  Alarm a;
  timers.cancel(a);
  timers.arm(a, at(10));
  timers.cancel(a);
  timers.cancel(a);
  EXPECT_FALSE(a.armed());
  timers.fire(at(10));
  EXPECT_EQ(a.fired, 0);
}

TEST(Timers, CallbacksMayCancelOthersThatAreDue) {
  Timers timers;
  Alarm a, b, c;
  a.then = [&] { timers.cancel(b); };
  timers.arm(a, at(1));
  timers.arm(b, at(2));
  timers.arm(c, at(3));
  timers.fire(at(3));
  EXPECT_EQ(a.fired, 1);
  EXPECT_EQ(b.fired, 0);
  EXPECT_EQ(c.fired, 1);
}

TEST(Timers, CallbacksMayMoveOthers) {
  Timers timers;
  Alarm a, b;
  a.then = [&] { timers.arm(b, at(50)); };
  timers.arm(a, at(1));
  timers.arm(b, at(2));
  timers.fire(at(3));
  EXPECT_EQ(b.fired, 0);
  timers.fire(at(50));
  EXPECT_EQ(b.fired, 1);
}

// A timer that arms itself for a time in the past neither makes the pass endless nor delays others.
TEST(Timers, ATimerArmedInThePastFiresOnceInAPass) {
  Timers timers;
  Alarm busy, other;
  busy.then = [&] { timers.arm(busy, at(0)); };
  timers.arm(busy, at(0));
  timers.arm(other, at(10));
  for (int pass = 1; pass <= 5; ++pass) {
    timers.fire(at(100 + pass));
    EXPECT_EQ(busy.fired, pass);
    EXPECT_EQ(other.fired, 1);
    EXPECT_TRUE(busy.armed());
  }
  timers.cancel(busy);
}

TEST(Timers, HundredThousandAgreeWithSorting) {
  constexpr std::size_t count = 100'000;
  std::mt19937 random(20240229);
  std::uniform_int_distribution<std::int64_t> any_time(0, 1'000'000);
  Timers timers;
  std::vector<Alarm> alarms(count);
  std::vector<std::int64_t> times(count);
  for (std::size_t i = 0; i < count; ++i) {
    times[i] = any_time(random);
    timers.arm(alarms[i], at(times[i]));
  }
  for (std::size_t i = 0; i < count; i += 3) {  // every third timer moves
    times[i] = any_time(random);
    timers.arm(alarms[i], at(times[i]));
  }
  for (std::size_t i = 0; i < count; i += 5) {  // every fifth timer is cancelled
    times[i] = -1;
    timers.cancel(alarms[i]);
  }
  std::vector<std::int64_t> fired;
  for (std::size_t i = 0; i < count; ++i) alarms[i].then = [&, i] { fired.push_back(times[i]); };
  for (std::int64_t now = 0; now <= 1'000'000; now += 1000) {
    timers.fire(at(now));
    const auto next = timers.next_deadline();
    EXPECT_GT(next, at(now));
  }
  std::erase(times, -1);
  std::sort(times.begin(), times.end());
  EXPECT_EQ(fired, times);
  EXPECT_EQ(timers.next_deadline(), time_point::max());
}

}  // namespace
