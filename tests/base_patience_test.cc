// Tests the time limit that moves later while the peer takes bytes.
#include "tern/peer_progress.h"

#include "base/later.h"

#include <chrono>
#include <gtest/gtest.h>

namespace tern::base {
namespace {

using namespace std::chrono_literals;
using Counts = Patience::Counts;

constexpr Patience::TimePoint start = Patience::TimePoint() + 1h;
constexpr Patience::Duration limit = 8s;

Patience started() {
  Patience patience;
  patience.start(start);
  return patience;
}

TEST(BasePatience, WithoutALookTheLimitDoesNotMove) {
  const Patience patience = started();
  EXPECT_EQ(patience.next_look(limit, false), start + 8s);
  EXPECT_EQ(patience.next_look(limit, true), start + 1s) << "eight looks divide a limit";
  EXPECT_FALSE(patience.is_over(start + 8s - 1ns, limit));
  EXPECT_TRUE(patience.is_over(start + 8s, limit));
}

TEST(BasePatience, WithoutALimitItIsNeverOver) {
  const Patience patience = started();
  EXPECT_EQ(patience.next_look(Patience::Duration::max(), true), Patience::TimePoint::max());
  EXPECT_FALSE(patience.is_over(Patience::TimePoint::max(), Patience::Duration::max()));
}

TEST(BasePatience, EachByteAddsTimeUpToOneLimit) {
  struct Row {
    std::size_t bytes;
    std::size_t rate;
    Patience::Duration gain;
  };
  for (const Row& row : {Row{1, 100, 10ms}, Row{0, 100, 0s}, Row{300, 100, 3s}, Row{400, 100, 4s},
                         Row{4'000'000'000, 100, 4s}, Row{1, 0, 4s}, Row{0, 0, 0s},
                         Row{static_cast<std::size_t>(-1), 1, 4s}, Row{1, 3, 333'333'333ns}}) {
    Patience patience = started();
    patience.credit(start + 4s, row.bytes, row.rate);
    EXPECT_EQ(patience.since() - start, row.gain) << row.bytes << ' ' << row.rate;
  }
}

TEST(BasePatience, CountsQuestionIgnoresBytesBehindTheQuestion) {
  for (const Counts counts : {Counts::question, Counts::all}) {
    Patience patience = started();
    patience.look(start + 1s, {.acknowledged = 7, .waiting = 500}, limit, 100, counts);
    EXPECT_EQ(patience.since(), start + 1s)
        << "the peer may have taken some of the 500 bytes just now";
    patience.look(start + 2s, {.acknowledged = 307, .waiting = 9'000}, limit, 100, counts);
    EXPECT_EQ(patience.since(), start + 2s);
    patience.look(start + 8s, {.acknowledged = 10'000, .waiting = 9'000}, limit, 100, counts);
    EXPECT_EQ(patience.since(), counts == Counts::all ? start + 8s : start + 4s);
    patience.look(start + 9s, {.acknowledged = 20'000, .waiting = 9'000}, limit, 100, counts);
    EXPECT_EQ(patience.since(), counts == Counts::all ? start + 9s : start + 4s);
    if (counts == Counts::question) {
      EXPECT_EQ(patience.next_look(limit, true), start + 12s) << "nothing moves it any more";
    }
  }
}

TEST(BasePatience, LooksComeEveryEighthOfTheLimitUntilItIsOver) {
  Patience patience = started();
  int looks = 0;
  auto now = start;
  while (!patience.is_over(now, limit)) {
    ASSERT_LT(looks, 20);
    const auto next = patience.next_look(limit, true);
    ASSERT_GT(next, now) << "a driver would spin";
    now = next;
    patience.look(now, {.acknowledged = 0, .waiting = 100}, limit, 100, Counts::question);
    ++looks;
  }
  EXPECT_EQ(now, start + 9s) << "the first look counts the waiting bytes as taken";
  EXPECT_LE(looks, 10);
}

TEST(BasePatience, TheCounterMayWrapAndAFinIsNotCounted) {
  Patience patience = started();
  patience.look(start + 1s, {.acknowledged = 0xFFFF'FF00, .waiting = 10'000}, limit, 100,
                Counts::all);
  patience.look(start + 2s, {.acknowledged = 0x0000'0100, .waiting = 10'000}, limit, 100,
                Counts::all);
  EXPECT_EQ(patience.since(), start + 2s);
  patience.look(start + 3s, {.acknowledged = 0x0000'00FF, .waiting = 10'000}, limit, 100,
                Counts::all);
  EXPECT_EQ(patience.since(), start + 2s);
}

TEST(BasePatience, LimitsOfAnySizeEnd) {
  for (const Patience::Duration any : {0ns, 1ns, 7ns, 8ns, 9ns, Patience::Duration::max() - 1ns}) {
    Patience patience = started();
    for (int i = 0; i < 100 && !patience.is_over(patience.next_look(any, true), any); ++i) {
      patience.look(patience.next_look(any, true), {}, any, 100, Counts::question);
    }
    EXPECT_TRUE(patience.is_over(patience.next_look(any, true), any)) << any.count();
  }
}

TEST(BasePatience, PostponesToATimeButAtMostByOneLimit) {
  for (const auto& [until, end] : {std::pair{start + 12s, start + 12s},
                                   {start + 9s, start + 9s},
                                   {start + 1h, start + 18s},
                                   {start + 1s, start + 8s}}) {
    Patience patience = started();
    EXPECT_TRUE(patience.postpone(start + 10s, until, limit));
    EXPECT_EQ(later(patience.since(), limit), end);
  }
}

TEST(BasePatience, PostponesThreeTimesUntilThePeerTakesBytesAtTheRate) {
  Patience patience = started();
  const auto granted = [&] {
    int times = 0;
    while (times < 10 && patience.postpone(start + 10s, start + 11s, limit)) ++times;
    return times;
  };
  EXPECT_EQ(granted(), 3);
  patience.credit(start + 20s, 1, 100);
  EXPECT_EQ(granted(), 0) << "a byte now and then";
  patience.credit(start + 20s, 5'000, 100);
  EXPECT_EQ(granted(), 3);
  patience.start(start);
  EXPECT_EQ(granted(), 3);
}

}  // namespace
}  // namespace tern::base
