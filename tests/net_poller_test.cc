// Poller: readiness, stale events, again() and guesses, with descriptors of the system.
#include "net/poller.h"

#include <array>
#include <chrono>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using tern::net::Fd;
using tern::net::Poller;
using tern::net::Watcher;
using namespace std::chrono_literals;

constexpr auto at_once = Poller::Clock::time_point::min();

Fd ready_fd() { return Fd(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)); }
Fd silent_fd() { return Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
// The end of a pipe whose other end is closed.
Fd hung_up_fd() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
  ::close(ends[1]);
  return Fd(ends[0]);
}

struct Recorder final : Watcher {
  void on_ready(std::uint32_t events) noexcept override {
    ++calls;
    last = events;
    if (then) then();
  }
  int calls = 0;
  std::uint32_t last = 0;
  std::function<void()> then{};
};

TEST(Poller, ReportsReadiness) {
  Poller poller;
  ASSERT_FALSE(poller.error());
  Recorder recorder;
  const Fd fd = ready_fd();
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  EXPECT_EQ(poller.wait(Poller::Clock::time_point::max()), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 1);
  EXPECT_EQ(recorder.last, std::uint32_t{EPOLLIN});
  ASSERT_FALSE(poller.modify(fd.get(), EPOLLOUT, recorder));
  EXPECT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.last, std::uint32_t{EPOLLOUT});
  poller.remove(fd.get(), recorder);
  EXPECT_EQ(poller.wait(at_once), 0);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 2);
}

TEST(Poller, ReportsFailuresOfEpoll) {
  Poller poller;
  Recorder recorder;
  EXPECT_EQ(poller.add(-1, EPOLLIN, recorder), std::errc::bad_file_descriptor);
  const Fd fd = silent_fd();
  EXPECT_EQ(poller.modify(fd.get(), EPOLLIN, recorder), std::errc::no_such_file_or_directory);
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  EXPECT_EQ(poller.add(fd.get(), EPOLLIN, recorder), std::errc::file_exists);
}

// Without this rule, a server without free descriptors would report "Bad file descriptor".
TEST(Poller, EachCallReportsTheErrorOfTheConstructor) {
  const Fd fd = ready_fd();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);  // the lowest free number: all below are taken
  ASSERT_GE(next, 0);
  ::close(next);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  Poller poller;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(poller.error(), std::errc::too_many_files_open);
  Recorder recorder;
  EXPECT_EQ(poller.add(fd.get(), EPOLLIN, recorder), std::errc::too_many_files_open);
  EXPECT_EQ(poller.modify(fd.get(), EPOLLIN, recorder), std::errc::too_many_files_open);
  poller.remove(fd.get(), recorder);
}

TEST(Poller, NeverWaitsLessThanUntilTheDeadline) {
  Poller poller;
  for (const auto wait : {0us, 100us, 1500us, 20000us}) {
    const auto deadline = Poller::Clock::now() + wait;
    EXPECT_EQ(poller.wait(deadline), 0);
    EXPECT_GE(Poller::Clock::now(), deadline);
  }
  EXPECT_EQ(poller.wait(at_once), 0);
}

// Both watchers are ready in one batch. The first one removes the other, which is then freed.
TEST(Poller, NoStaleEventReachesARemovedWatcher) {
  Poller poller;
  const Fd fds[] = {ready_fd(), ready_fd()};
  std::unique_ptr<Recorder> recorders[] = {std::make_unique<Recorder>(),
                                           std::make_unique<Recorder>()};
  int calls = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    recorders[i]->then = [&, i] {
      ++calls;
      poller.remove(fds[1 - i].get(), *recorders[1 - i]);
      recorders[1 - i].reset();
    };
    ASSERT_FALSE(poller.add(fds[i].get(), EPOLLIN, *recorders[i]));
  }
  ASSERT_EQ(poller.wait(at_once), 2);
  poller.dispatch();
  EXPECT_EQ(calls, 1);
}

// Another watcher already uses the same descriptor number while the old event still waits.
TEST(Poller, NoStaleEventReachesTheNextOwnerOfADescriptor) {
  Poller poller;
  Fd fds[] = {ready_fd(), ready_fd()};
  Recorder first, second, heir;
  const auto replace = [&](std::size_t which, Recorder& old) {
    poller.remove(fds[which].get(), old);
    const int number = fds[which].get();
    fds[which].reset();
    fds[which] = silent_fd();
    ASSERT_EQ(fds[which].get(), number);
    ASSERT_FALSE(poller.add(number, EPOLLIN, heir));
  };
  first.then = [&] { replace(1, second); };
  second.then = [&] { replace(0, first); };
  ASSERT_FALSE(poller.add(fds[0].get(), EPOLLIN, first));
  ASSERT_FALSE(poller.add(fds[1].get(), EPOLLIN, second));
  ASSERT_EQ(poller.wait(at_once), 2);
  poller.dispatch();
  EXPECT_EQ(first.calls + second.calls, 1);
  EXPECT_EQ(heir.calls, 0);
}

TEST(Poller, ServesMoreThanOneBatch) {
  constexpr std::size_t count = 1300;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = std::exchange(limit, {limit.rlim_max, limit.rlim_max});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  Poller poller;
  std::vector<Fd> fds;
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (std::size_t i = 0; i < count; ++i) {
    fds.push_back(ready_fd());
    ASSERT_TRUE(fds.back()) << "needs " << count << " descriptors";
    recorders.push_back(std::make_unique<Recorder>());
    recorders[i]->then = [&, i] { poller.remove(fds[i].get(), *recorders[i]); };
    ASSERT_FALSE(poller.add(fds[i].get(), EPOLLIN, *recorders[i]));
  }
  for (int batch = 0; batch < 3; ++batch) {
    EXPECT_GT(poller.wait(at_once), 0);
    poller.dispatch();
  }
  for (const auto& recorder : recorders) EXPECT_EQ(recorder->calls, 1);
  fds.clear();
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(Poller, AgainCallsOnlyInTheNextTurn) {
  Poller poller;
  Recorder recorder;
  recorder.then = [&] {
    if (recorder.calls < 3) poller.again(recorder);
  };
  poller.again(recorder);
  poller.again(recorder);
  for (int turn = 1; turn <= 4; ++turn) {
    EXPECT_EQ(poller.has_again(), turn <= 3);
    poller.wait(at_once);
    poller.dispatch();
    EXPECT_EQ(recorder.calls, std::min(turn, 3));
    EXPECT_EQ(recorder.last, std::uint32_t{EPOLLIN});
  }
}

TEST(Poller, AgainReadsOnceEvenIfReadable) {
  Poller poller;
  Recorder recorder;
  const Fd fd = ready_fd();
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  poller.again(recorder);
  ASSERT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 1);
  EXPECT_EQ(recorder.last, std::uint32_t{EPOLLIN});
}

// Otherwise a peer that has ended and has much unread input would get two calls in one turn.
TEST(Poller, AFailureIsNoTurnBesideAgain) {
  Poller poller;
  Recorder recorder;
  const Fd fd = hung_up_fd();
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  poller.again(recorder);
  ASSERT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 1);
  EXPECT_EQ(recorder.last, std::uint32_t{EPOLLIN});
  ASSERT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 2);
  EXPECT_EQ(recorder.last, std::uint32_t{EPOLLHUP})
      << "reported because the watcher has no other interest";
}

TEST(Poller, OtherEventsDoNotWaitForAgain) {
  Poller poller;
  Recorder recorder;
  const Fd fd = silent_fd();
  ASSERT_FALSE(poller.add(fd.get(), EPOLLOUT, recorder));
  poller.again(recorder);
  recorder.then = [&] {
    EXPECT_EQ(recorder.last, std::uint32_t{recorder.calls == 1 ? EPOLLOUT : EPOLLIN});
  };
  ASSERT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_EQ(recorder.calls, 2);
}

// Watchers that call again() in each turn share a part of the turn.
TEST(Poller, AgainKeepsItsOrderOverTurns) {
  Poller poller;
  std::array<Recorder, 3> recorders;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < recorders.size(); ++i) {
    recorders[i].then = [&, i] {
      order.push_back(i);
      poller.again(recorders[i]);
      const auto end = Poller::Clock::now() + std::chrono::milliseconds(2);  // longer than a share
      while (Poller::Clock::now() < end) {
      }
    };
    poller.again(recorders[i]);
  }
  for (std::size_t turn = 1; turn <= 6; ++turn) {
    poller.wait(at_once);
    poller.dispatch();
    EXPECT_EQ(order.size(), turn) << "one call uses up the share of a turn";
  }
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Poller, RemoveCancelsAgain) {
  Poller poller;
  Recorder first, second;
  first.then = [&] { poller.remove(-1, second); };
  poller.again(first);
  poller.again(second);
  poller.wait(at_once);
  poller.dispatch();
  EXPECT_EQ(first.calls, 1);
  EXPECT_EQ(second.calls, 0);
}

// The last watcher that called heard() may be called without epoll, but at most eight times in a
// row, and only if nothing else was ready.
TEST(Poller, GuessesTheNextReadyWatcherUpToEightTimes) {
  Poller poller;
  const Fd fd = ready_fd();
  Recorder recorder;
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  ASSERT_EQ(poller.wait(at_once), 1);
  poller.dispatch();
  EXPECT_FALSE(poller.may_guess()) << "the watcher has not called heard()";
  poller.heard(recorder);
  for (int guesses = 0; guesses < 8; ++guesses) {
    ASSERT_TRUE(poller.may_guess());
    recorder.then = [&] {
      if (guesses % 2 == 0) poller.heard(recorder);
    };
    EXPECT_EQ(poller.guess(), guesses % 2 == 0);
    EXPECT_EQ(recorder.calls, 2 + guesses);
    EXPECT_EQ(recorder.last, std::uint32_t{EPOLLIN});
  }
  EXPECT_FALSE(poller.may_guess());
  poller.wait(at_once);
  EXPECT_TRUE(poller.may_guess());
  poller.remove(fd.get(), recorder);
  EXPECT_FALSE(poller.may_guess());
}

TEST(Poller, DoesNotGuessWhileSeveralAreReady) {
  Poller poller;
  const Fd fds[] = {ready_fd(), ready_fd()};
  Recorder first, second;
  ASSERT_FALSE(poller.add(fds[0].get(), EPOLLIN, first));
  ASSERT_FALSE(poller.add(fds[1].get(), EPOLLIN, second));
  poller.heard(first);
  ASSERT_EQ(poller.wait(at_once), 2);
  poller.dispatch();
  EXPECT_FALSE(poller.may_guess());
  poller.remove(fds[1].get(), second);
  ASSERT_EQ(poller.wait(at_once), 1);
  EXPECT_TRUE(poller.may_guess()) << "the first watcher is still the last that called heard()";
}

// A forked child keeps the socket open, and with it its entry in epoll unless it is removed.
TEST(Poller, RemovesADescriptorThatHasADuplicate) {
  Poller poller;
  Recorder recorder;
  Fd fd = ready_fd();
  const Fd duplicate(::dup(fd.get()));
  ASSERT_FALSE(poller.add(fd.get(), EPOLLIN, recorder));
  poller.remove(fd.get(), recorder);
  fd.reset();
  EXPECT_EQ(poller.wait(at_once), 0);
}

}  // namespace
