// Loop: run and stop, posted functions, timers, and interruptions by signals.
#include "tern/error.h"
#include "tern/loop.h"

#include "support/socket_pair.h"

#include <array>
#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/time.h>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::Errc;
using tern::Interest;
using tern::Loop;
using tern::LoopOptions;
using tern::TimerId;

// ---- run, stop, post ----

TEST(Loop, StopBeforeRunMakesRunReturnAtOnce) {
  Loop loop;
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.stop();
  EXPECT_TRUE(loop.run());
  EXPECT_FALSE(ran);
  loop.post([&] { loop.stop(); });
  EXPECT_TRUE(loop.run());  // it can run again
  EXPECT_TRUE(ran);
}

TEST(Loop, StopsFromAnotherThread) {
  Loop loop;
  std::thread other;
  loop.post([&] { other = std::thread([&] { loop.stop(); }); });
  EXPECT_TRUE(loop.run());
  other.join();
}

std::atomic<Loop*> stopped_by_signal{nullptr};

TEST(Loop, StopsFromASignalHandler) {
  Loop loop;
  stopped_by_signal = &loop;
  struct sigaction action {};
  action.sa_handler = [](int) { stopped_by_signal.load()->stop(); };
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  loop.after(1ms, [] { ::raise(SIGUSR1); });
  EXPECT_TRUE(loop.run());
  const auto self = ::pthread_self();
  std::thread other;
  loop.post([&] { other = std::thread([self] { ::pthread_kill(self, SIGUSR1); }); });
  EXPECT_TRUE(loop.run());
  other.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(Loop, ASecondRunIsAnError) {
  Loop loop;
  EXPECT_FALSE(loop.in_loop_thread());
  loop.post([&] {
    EXPECT_TRUE(loop.in_loop_thread());
    const auto nested = loop.run();
    ASSERT_FALSE(nested);
    EXPECT_EQ(nested.error().code(), Errc::already_running);
    std::thread([&] {
      EXPECT_FALSE(loop.in_loop_thread());
      const auto second = loop.run();
      ASSERT_FALSE(second);
      EXPECT_EQ(second.error().code(), Errc::already_running);
    }).join();
    loop.stop();
  });
  EXPECT_TRUE(loop.run());
  EXPECT_FALSE(loop.in_loop_thread());
}

TEST(Loop, RunReportsTheErrorOfTheConstructor) {
  { Loop whole; }  // UBSan needs a descriptor when it first checks a class with virtual functions
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const rlim_t spare : {rlim_t{0}, rlim_t{1}}) {
    const int next = ::dup(0);  // the lowest free number: all below are taken
    ASSERT_GE(next, 0);
    ::close(next);
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(next) + spare;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    {
      Loop loop;
      ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
      EXPECT_FALSE(loop.post([] { FAIL(); }));
      loop.stop();
      const auto ran = loop.run();
      ASSERT_FALSE(ran);
      EXPECT_EQ(ran.error().code(), std::errc::too_many_files_open);
      EXPECT_NE(ran.error().message(), "");
    }
  }
}

TEST(Loop, PostsOfEachThreadRunInOrder) {
  constexpr int senders = 8;
  constexpr int each = 5'000;
  Loop loop({.max_posted = 1000});
  std::array<int, senders> next{};
  int total = 0;
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < senders; ++s) {
    threads.emplace_back([&, s] {
      for (int i = 0; i < each; ++i) {
        const auto function = [&, s, i] {
          EXPECT_TRUE(loop.in_loop_thread());
          EXPECT_EQ(next[s]++, i);
          if (++total == senders * each) loop.stop();
        };
        while (!loop.post(function)) std::this_thread::yield();
      }
    });
  }
  EXPECT_TRUE(loop.run());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(total, senders * each);
}

TEST(Loop, PostsFromTheLoopRunInTheNextTurn) {
  Loop loop;
  int depth = 0;
  std::function<void()> again = [&] {
    if (++depth == 1000) return loop.stop();
    EXPECT_TRUE(loop.post(again));
  };
  loop.post(again);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(depth, 1000);
}

TEST(Loop, CapturesAreDestroyedBeforeTheNextFunctionRuns) {
  Loop loop;
  auto captured = std::make_shared<int>();
  const std::weak_ptr<int> observer = captured;
  loop.post([&, held = std::move(captured)] { EXPECT_EQ(observer.use_count(), 1); });
  loop.post([&] {
    EXPECT_TRUE(observer.expired());
    loop.stop();
  });
  EXPECT_TRUE(loop.run());
}

TEST(Loop, FunctionsThatNeverRanAreDestroyed) {
  const auto alive = std::make_shared<int>();
  {
    Loop loop;
    EXPECT_TRUE(loop.post([alive] { FAIL(); }));
    loop.after(1h, [alive] { FAIL(); });
    loop.every(1h, [alive] { FAIL(); });
    EXPECT_EQ(alive.use_count(), 4);
  }
  EXPECT_EQ(alive.use_count(), 1);
}

// The destructor of a captured object may call the loop, even while the loop is destroyed.
TEST(Loop, DestructorsOfCapturesMayUseTheLoop) {
  struct ComesBack {
    explicit ComesBack(Loop* to) : loop(to) {}
    ComesBack(ComesBack&& other) noexcept : loop(std::exchange(other.loop, nullptr)) {}
    ~ComesBack() {
      if (loop == nullptr) return;
      EXPECT_FALSE(loop->post([] {}));
      loop->cancel(TimerId{1});
      loop->cancel(TimerId{2});
    }
    void operator()() {}
    Loop* loop;
  };
  Loop loop;
  loop.after(1h, ComesBack(&loop));
  loop.after(1h, ComesBack(&loop));
  loop.post(ComesBack(&loop));
}

TEST(Loop, ExceptionsDoNotEndTheLoop) {
  std::vector<std::string> reported;
  Loop loop({.on_exception = [&](std::string_view what) {
    reported.emplace_back(what);
    throw std::runtime_error("from the log");
  }});
  tern::test::SocketPair pair;
  tern::Watch watch;
  auto made = loop.watch(pair.client.release(), Interest::write, [&](tern::Ready) {
    watch.close();
    throw std::runtime_error("from a watch");
  });
  ASSERT_TRUE(made);
  watch = std::move(*made);
  loop.post([] { throw std::runtime_error("from a post"); });
  loop.after(0ms, [] { throw 7; });
  int beats = 0;
  loop.every(1ms, [&] {
    if (++beats == 3) loop.stop();
    throw std::runtime_error("from a beat");
  });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(beats, 3);
  const std::multiset<std::string> all(reported.begin(), reported.end());
  EXPECT_EQ(all.count("from a watch"), 1u);
  EXPECT_EQ(all.count("from a post"), 1u);
  EXPECT_EQ(all.count("not a std::exception"), 1u);
  EXPECT_EQ(all.count("from a beat"), 3u);
}

TEST(Loop, ExceptionsAreDroppedWithoutAHook) {
  Loop loop;
  loop.post([] { throw std::runtime_error("no hook is set"); });
  loop.post([&] { loop.stop(); });
  EXPECT_TRUE(loop.run());
}

// ---- timers ----

TEST(LoopTimers, AreNeverEarlyAndKeepTheirOrder) {
  Loop loop;
  const auto began = Loop::Clock::now();
  std::string order;
  loop.after(20ms, [&] {
    order += 'c';
    EXPECT_GE(Loop::Clock::now() - began, 20ms);
    loop.stop();
  });
  loop.after(10ms, [&] {
    order += 'b';
    EXPECT_GE(Loop::Clock::now() - began, 10ms);
  });
  loop.after(-5ms, [&] { order += 'a'; });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(order, "abc");
}

TEST(LoopTimers, ALongHandlerDoesNotMakeThemEarly) {
  Loop loop;
  loop.post([&] {
    const auto until = Loop::Clock::now() + 20ms;
    while (Loop::Clock::now() < until) {
    }
    loop.after(10ms, [&, until] {
      EXPECT_GE(Loop::Clock::now(), until + 10ms);
      loop.stop();
    });
  });
  EXPECT_TRUE(loop.run());
}

TEST(LoopTimers, TheLongestDelayDoesNotOverflow) {
  Loop loop;
  loop.after(Loop::Duration::max(), [] { FAIL(); });
  loop.every(Loop::Duration::max(), [] { FAIL(); });
  loop.after(2ms, [&] { loop.stop(); });
  EXPECT_TRUE(loop.run());
}

TEST(LoopTimers, CancelDestroysTheFunction) {
  Loop loop;
  const auto alive = std::make_shared<int>();
  const TimerId timer = loop.after(0ms, [alive] { FAIL(); });
  EXPECT_NE(timer, TimerId::none);
  EXPECT_TRUE(loop.cancel(timer));
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_FALSE(loop.cancel(timer));
  EXPECT_FALSE(loop.cancel(TimerId::none));
  EXPECT_FALSE(loop.cancel(TimerId{12345}));
  loop.after(2ms, [&] { loop.stop(); });
  EXPECT_TRUE(loop.run());
}

TEST(LoopTimers, MayCancelThemselvesAndOthers) {
  Loop loop;
  const auto alive = std::make_shared<int>();
  TimerId once{}, repeating{}, other{};
  int beats = 0;
  once = loop.after(0ms, [&, alive] {
    EXPECT_FALSE(loop.cancel(once));  // it has fired
    EXPECT_EQ(alive.use_count(), 4);  // its captures exist until it returns
  });
  other = loop.after(1h, [alive] { FAIL(); });
  repeating = loop.every(1ms, [&, alive] {
    if (++beats < 3) return;
    EXPECT_TRUE(loop.cancel(repeating));
    EXPECT_FALSE(loop.cancel(repeating));
    EXPECT_TRUE(loop.cancel(other));
    EXPECT_EQ(alive.use_count(), 2);
    loop.after(5ms, [&] { loop.stop(); });
  });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(beats, 3);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(LoopTimers, RepeatAtTheirIntervalAndSkipMissedTimes) {
  Loop loop;
  const auto began = Loop::Clock::now();
  Loop::Clock::time_point second;
  int beats = 0;
  loop.every(2ms, [&] {
    ++beats;
    EXPECT_GE(Loop::Clock::now() - began, beats * 2ms);
    if (beats == 1) {  // misses ten
      const auto until = Loop::Clock::now() + 21ms;
      while (Loop::Clock::now() < until) {
      }
    }
    if (beats == 2) second = loop.now();
    if (beats == 11) loop.stop();
  });
  EXPECT_TRUE(loop.run());
  EXPECT_GE(Loop::Clock::now() - second, 16ms);  // one beat soon, then eight whole intervals
}

TEST(LoopTimers, MayStartOthers) {
  Loop loop;
  int started = 0;
  std::function<void()> more = [&] {
    for (int i = 0; i < 3 && started < 1000; ++i, ++started) loop.after(0ms, more);
    if (started == 1000) loop.stop();
  };
  loop.after(0ms, more);
  EXPECT_TRUE(loop.run());
}

// ---- interruptions by signals ----

std::atomic<int> interruptions{0};

// epoll_wait ignores SA_RESTART, so a frequent signal could make a careless loop spin or lose time.
TEST(LoopTimers, SignalsNeitherLoseNorDelayThem) {
  for (const int flags : {0, SA_RESTART}) {
    interruptions = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { ++interruptions; };
    action.sa_flags = flags;
    struct sigaction before {};
    ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
    const itimerval storm{{0, 1000}, {0, 1000}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &storm, nullptr), 0);
    Loop loop;
    int fired = 0;
    // A busy machine merges signals, so the test runs until enough of them have arrived.
    std::function<void()> stop_after_enough = [&] {
      if (interruptions.load() > 50) return loop.stop();
      loop.after(1ms, stop_after_enough);
    };
    const auto began = Loop::Clock::now();
    for (int i = 1; i <= 10; ++i) {
      loop.after(i * 15ms, [&, i] {
        ++fired;
        EXPECT_GE(Loop::Clock::now() - began, i * 15ms);
        if (i == 10) stop_after_enough();
      });
    }
    EXPECT_TRUE(loop.run());
    const itimerval calm{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &calm, nullptr), 0);
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
    EXPECT_EQ(fired, 10);
    EXPECT_LT(Loop::Clock::now() - began, 30s);
  }
}

// ---- effects on the process ----

std::set<int> open_descriptors() {
  std::set<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    numbers.insert(std::stoi(entry.path().filename()));
  }
  std::erase_if(numbers, [](int fd) {
    return ::fcntl(fd, F_GETFD) < 0;
  });  // the descriptor of the directory itself
  return numbers;
}

TEST(Loop, OpensDescriptorsCloseOnExecAndClosesAll) {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGUSR2);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &mask, nullptr), 0);
  const std::set<int> before = open_descriptors();
  {
    Loop loop;
    ASSERT_TRUE(loop.on_signal(SIGUSR2, [](int) {}));
    tern::test::SocketPair pair;
    auto watch = loop.watch(pair.client.release(), Interest::read, [](tern::Ready) {});
    ASSERT_TRUE(watch);
    loop.post([&] { loop.stop(); });
    ASSERT_TRUE(loop.run());
    int opened = 0;
    for (const int fd : open_descriptors()) {
      if (before.contains(fd)) continue;
      ++opened;
      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << "descriptor " << fd;
    }
    EXPECT_EQ(opened, 6);  // epoll, eventfd, signalfd, the claim of the signal and the two sockets
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
