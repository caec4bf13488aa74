// LoopCore: the order of work in a turn, deferred objects, spinning, and guesses.
#include "tern/error.h"
#include "tern/loop.h"

#include "net/loop_core.h"

#include <chrono>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/eventfd.h>
#include <thread>
#include <utility>

namespace {

using namespace std::chrono_literals;
using tern::LoopOptions;
using tern::net::Deferred;
using tern::net::Fd;
using tern::net::LoopCore;
using tern::net::Retired;
using tern::net::Timer;
using tern::net::Watcher;

struct Watching final : Watcher {
  void on_ready(std::uint32_t) noexcept override { then(); }
  std::function<void()> then{};
};

struct Alarm final : Timer {
  void on_timer(time_point) noexcept override { then(); }
  std::function<void()> then{};
};

struct Dirty final : Deferred {
  void at_turn_end() noexcept override { then(); }
  void on_retired() noexcept override { retired(); }
  std::function<void()> then = [] {};
  std::function<void()> retired = [] {};
};

void take_longer_than_a_share() {
  const auto end = std::chrono::steady_clock::now() + 2ms;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Many posted functions must not keep the loop from its descriptors.
TEST(LoopCore, PostedFunctionsTakeOnlyAShareOfATurn) {
  LoopCore core{LoopOptions{}};
  const Fd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Watching watching;
  int posted = 0;
  int before_watcher = -1;
  watching.then = [&] {
    if (before_watcher < 0) before_watcher = posted;
  };
  ASSERT_FALSE(core.poller().add(fd.get(), EPOLLIN, watching));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(core.mailbox()->post([&, i] {
      EXPECT_EQ(posted++, i) << "in order";
      if (i == 0) {
        EXPECT_EQ(::eventfd_write(fd.get(), 1), 0);
      }
      if (i < 20) take_longer_than_a_share();
      if (i == 99) core.stop();
    }));
  }
  ASSERT_TRUE(core.run());
  EXPECT_EQ(posted, 100);
  EXPECT_EQ(before_watcher, 16);
  core.poller().remove(fd.get(), watching);
}

TEST(LoopCore, ATurnKeepsItsOrder) {
  LoopCore core{LoopOptions{}};
  std::string order;
  const Fd fd(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  Watching watching;
  Alarm alarm;
  Dirty dirty, dead;
  alarm.then = [&] { order += " timer"; };
  dirty.then = [&] { order += " deferred"; };
  dead.retired = [&] {
    order += " retired";
    core.stop();
  };
  watching.then = [&] {
    order += "watcher";
    core.retire(dead);
    core.defer(dirty);
    core.timers().arm(alarm, LoopCore::time_point::min());
    core.mailbox()->post([&] { order += " posted"; });
    core.poller().remove(fd.get(), watching);
  };
  ASSERT_FALSE(core.poller().add(fd.get(), EPOLLIN, watching));
  ASSERT_TRUE(core.run());
  EXPECT_EQ(order, "watcher timer posted deferred retired");
}

TEST(LoopCore, DeferredObjectsRunUntilNoneIsLeft) {
  LoopCore core{LoopOptions{}};
  Dirty first, second, end;
  int runs = 0;
  first.then = [&] {
    EXPECT_TRUE(core.in_turn());
    if (++runs < 3) core.defer(first);
    core.defer(second);
    core.defer(second);  // counts once
  };
  int seconds = 0;
  second.then = [&] {
    ++seconds;
    core.retire(end);
  };
  end.retired = [&] {
    EXPECT_EQ(runs, 3);
    core.stop();
  };
  core.defer(first);
  ASSERT_TRUE(core.run());
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(seconds, 2);  // it was already deferred in the first two runs
  EXPECT_FALSE(core.in_turn());
}

TEST(LoopCore, ARetiredObjectIsNoLongerDeferred) {
  LoopCore core{LoopOptions{}};
  Dirty dirty;
  bool flushed = false;
  dirty.then = [&] { flushed = true; };
  dirty.retired = [&] { core.stop(); };
  core.defer(dirty);
  core.retire(dirty);
  core.defer(dirty);
  ASSERT_TRUE(core.run());
  EXPECT_FALSE(flushed);
}

TEST(LoopCore, ADestroyedObjectIsNotCalled) {
  LoopCore core{LoopOptions{}};
  auto dirty = std::make_unique<Dirty>();
  dirty->then = [] { FAIL(); };
  core.defer(*dirty);
  dirty.reset();
  core.mailbox()->post([&] { core.stop(); });
  ASSERT_TRUE(core.run());
}

TEST(LoopCore, FreesAtItsEndWhatWasRetiredOutsideATurn) {
  int freed = 0;
  Dirty dirty;
  dirty.retired = [&] { ++freed; };
  {
    LoopCore core{LoopOptions{}};
    core.retire(dirty);
    EXPECT_EQ(freed, 0);
  }
  EXPECT_EQ(freed, 1);
}

TEST(LoopCore, DoesNotSleepAfterAgain) {
  LoopCore core{LoopOptions{}};
  Watching watching;
  int calls = 0;
  watching.then = [&] {
    if (++calls == 10) return core.stop();
    core.again(watching);
  };
  core.again(watching);
  ASSERT_TRUE(core.run());  // without again() it would sleep without end
  EXPECT_EQ(calls, 10);
}

TEST(LoopCore, HasOneReceiveBuffer) {
  LoopCore core{LoopOptions{}};
  const auto buffer = core.receive_buffer();
  EXPECT_EQ(buffer.size(), std::size_t{512} << 10);
  buffer.front() = buffer.back() = std::byte{1};
  EXPECT_EQ(core.receive_buffer().data(), buffer.data());
}

TEST(LoopCore, TheMailboxOutlivesTheLoop) {
  std::shared_ptr<tern::net::Mailbox> mailbox;
  {
    LoopCore core{LoopOptions{}};
    mailbox = core.mailbox();
  }
  EXPECT_TRUE(mailbox->closed());
  EXPECT_FALSE(mailbox->post([] {}));
  mailbox->wake();
}

TEST(LoopCore, NowIsTheTimeOfTheTurn) {
  LoopCore core{LoopOptions{}};
  core.mailbox()->post([&] {
    const auto now = core.now();
    const auto until = std::chrono::steady_clock::now() + 2ms;
    while (std::chrono::steady_clock::now() < until) {
    }
    EXPECT_EQ(core.now(), now);
    EXPECT_LT(now, until);
    core.mailbox()->post([&core, until] {
      EXPECT_GE(core.now(), until);
      core.stop();
    });
  });
  ASSERT_TRUE(core.run());
}

TEST(LoopCore, ASpinningLoopRunsPostsWithoutATimer) {
  LoopCore core{LoopOptions{.spin = 1h}};
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      std::promise<void> done;
      EXPECT_TRUE(core.mailbox()->post([&] { done.set_value(); }));
      done.get_future().wait();
    }
    EXPECT_TRUE(core.mailbox()->post([&] { core.stop(); }));
  });
  EXPECT_TRUE(core.run());
  other.join();
}

// With any spin time, the loop must run posts and timers, and must not sleep when they are due.
TEST(LoopCore, ASpinningLoopRunsPostsAndTimers) {
  for (const auto spin : {1ns, 100000ns, 3600000000000ns}) {
    LoopCore core{LoopOptions{.spin = spin}};
    Alarm alarm;
    int posted = 0;
    int fired = 0;
    std::promise<void> next;
    std::thread other([&] {
      for (int i = 0; i < 200; ++i) {
        std::promise<void> done;
        EXPECT_TRUE(core.mailbox()->post([&] {
          ++posted;
          done.set_value();
        }));
        done.get_future().wait();
      }
    });
    alarm.then = [&] {
      if (++fired >= 20 && posted == 200) return core.stop();
      core.timers().arm(alarm, core.now() + 100us);
    };
    core.timers().arm(alarm, core.now());
    EXPECT_TRUE(core.run());
    other.join();
    EXPECT_EQ(posted, 200);
  }
}

// One descriptor is always readable, and the loop reads it without epoll.
TEST(LoopCore, ASpinningLoopServesOthersBesideABusyPeer) {
  LoopCore core{LoopOptions{.spin = 1h}};
  const Fd always(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  const Fd late(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Watching talking, other;
  int talked = 0;
  bool heard_other = false;
  talking.then = [&] {
    core.poller().heard(talking);
    if (++talked == 20) ::eventfd_write(late.get(), 1);
    if (talked == 200) core.stop();
  };
  other.then = [&] {
    heard_other = true;
    core.stop();
  };
  ASSERT_FALSE(core.poller().add(always.get(), EPOLLIN, talking));
  ASSERT_FALSE(core.poller().add(late.get(), EPOLLIN, other));
  ASSERT_TRUE(core.run());
  EXPECT_TRUE(heard_other);
  EXPECT_LT(talked, 40);
  core.poller().remove(always.get(), talking);
  core.poller().remove(late.get(), other);
}

// A guess has work left over. The loop does this work as in any other turn.
TEST(LoopCore, AGuessBeginsATurn) {
  LoopCore core{LoopOptions{.spin = 1h}};
  const Fd fd(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  Watching watching;
  Dirty dirty;
  dirty.then = [&] { core.stop(); };
  int calls = 0;
  LoopCore::time_point first;
  watching.then = [&] {
    EXPECT_TRUE(core.in_turn());
    eventfd_t value = 0;
    ::eventfd_read(fd.get(), &value);
    if (++calls == 1) {
      first = core.now();
      return core.poller().heard(watching);
    }
    EXPECT_GT(core.now(), first) << "a guess did not update now()";
    core.defer(dirty);  // this call is a guess, because no byte was written
  };
  ASSERT_FALSE(core.poller().add(fd.get(), EPOLLIN, watching));
  ASSERT_TRUE(core.run());
  EXPECT_EQ(calls, 2);
  core.poller().remove(fd.get(), watching);
}

#ifndef NDEBUG
TEST(LoopCoreDeathTest, ACallFromAnotherThreadAbortsDebugBuilds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        LoopCore core{LoopOptions{}};
        Dirty dirty;
        core.mailbox()->post([&] { std::thread([&] { core.defer(dirty); }).join(); });
        (void)core.run();
      },
      "assertion failed");
}
#endif

}  // namespace
