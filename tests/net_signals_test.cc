// Tests Loop::on_signal().

#include "tern/error.h"
#include "tern/loop.h"

#include "net/signals.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using tern::Errc;
using tern::Loop;

// Blocks signals in this thread, as an application must do.
class Blocked {
 public:
  explicit Blocked(std::initializer_list<int> signals) {
    sigset_t mask;
    ::sigemptyset(&mask);
    for (const int signo : signals) ::sigaddset(&mask, signo);
    ::pthread_sigmask(SIG_BLOCK, &mask, &before_);
  }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  ~Blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

TEST(Signals, MustBeBlockedByTheApplication) {
  Loop loop;
  const auto listening = loop.on_signal(SIGUSR1, [](int) {});
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().code(), Errc::signal_not_blocked);
}

TEST(Signals, ArriveAsEvents) {
  const Blocked blocked({SIGUSR1, SIGUSR2});
  Loop loop;
  std::vector<int> heard;
  const auto hear = [&](int signo) {
    heard.push_back(signo);
    if (heard.size() == 3) loop.stop();
  };
  ASSERT_TRUE(loop.on_signal(SIGUSR1, hear));
  ASSERT_TRUE(loop.on_signal(SIGUSR2, hear));
  ::raise(SIGUSR2);
  loop.post([&] {
    ::kill(::getpid(), SIGUSR1);
    loop.post([] { ::raise(SIGUSR2); });
  });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(std::count(heard.begin(), heard.end(), SIGUSR1), 1);
  EXPECT_EQ(std::count(heard.begin(), heard.end(), SIGUSR2), 2);
}

TEST(Signals, DoNotChangeMaskOrDispositions) {
  const Blocked blocked({SIGUSR1});
  sigset_t before, after;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &before);
  struct sigaction pipe_before {
  }, pipe_after{}, usr_before{}, usr_after{};
  ::sigaction(SIGPIPE, nullptr, &pipe_before);
  ::sigaction(SIGUSR1, nullptr, &usr_before);
  {
    Loop loop;
    ASSERT_TRUE(loop.on_signal(SIGUSR1, [&](int) { loop.stop(); }));
    ::raise(SIGUSR1);
    EXPECT_TRUE(loop.run());
    ::sigaction(SIGPIPE, nullptr, &pipe_after);
    ::sigaction(SIGUSR1, nullptr, &usr_after);
  }
  ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (int signo = 1; signo < 65; ++signo) {
    EXPECT_EQ(::sigismember(&before, signo), ::sigismember(&after, signo));
  }
  EXPECT_EQ(pipe_before.sa_handler, pipe_after.sa_handler);
  EXPECT_EQ(usr_before.sa_handler, usr_after.sa_handler);
}

TEST(Signals, ALaterFunctionReplacesTheEarlierOne) {
  const Blocked blocked({SIGUSR1});
  Loop loop;
  const auto first = std::make_shared<int>();
  int heard = 0;
  ASSERT_TRUE(loop.on_signal(SIGUSR1, [first](int) { FAIL(); }));
  ASSERT_TRUE(loop.on_signal(SIGUSR1, [&](int) {
    ++heard;
    loop.stop();
  }));
  EXPECT_EQ(first.use_count(), 1);
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(heard, 1);
}

TEST(Signals, AFunctionMayReplaceOrRemoveItself) {
  const Blocked blocked({SIGUSR1});
  Loop loop;
  const auto alive = std::make_shared<int>();
  int second = 0;
  ASSERT_TRUE(loop.on_signal(SIGUSR1, [&, alive](int) {
    EXPECT_TRUE(loop.on_signal(SIGUSR1, [&](int) {
      ++second;
      EXPECT_TRUE(loop.on_signal(SIGUSR1, {}));
      ::raise(SIGUSR1);  // no loop takes it now, so it stays pending
      loop.post([&] { loop.post([&] { loop.stop(); }); });
    }));
    EXPECT_EQ(alive.use_count(), 2);
    ::raise(SIGUSR1);
  }));
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(second, 1);
  EXPECT_EQ(alive.use_count(), 1);
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGUSR1), 1);
  ::signal(SIGUSR1, SIG_IGN);  // drops the pending signal before it is unblocked
  ::signal(SIGUSR1, SIG_DFL);
}

TEST(Signals, RefuseNumbersThatAreNotSignals) {
  Loop loop;
  for (const int signo : {0, -1, 65, 1000, SIGKILL, SIGSTOP}) {
    const auto listening = loop.on_signal(signo, [](int) {});
    ASSERT_FALSE(listening) << signo;
    EXPECT_EQ(listening.error().code(), std::errc::invalid_argument) << signo;
  }
}

// A signal goes to the first loop that reads it, so with two loops each would miss it at random.
TEST(Signals, OnlyOneLoopTakesASignal) {
  const Blocked blocked({SIGUSR1, SIGUSR2});
  Loop first;
  ASSERT_TRUE(first.on_signal(SIGUSR1, [](int) {}));
  EXPECT_TRUE(first.on_signal(SIGUSR1, [](int) {})) << "the same loop again";
  {
    Loop second;
    EXPECT_TRUE(second.on_signal(SIGUSR2, [](int) {})) << "another signal";
    const auto listening = second.on_signal(SIGUSR1, [](int) {});
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().code(), Errc::signal_in_use);
    ASSERT_TRUE(first.on_signal(SIGUSR1, {}));
    EXPECT_TRUE(second.on_signal(SIGUSR1, [](int) {})) << "the first loop released it";
    EXPECT_FALSE(first.on_signal(SIGUSR1, [](int) {}));
  }
  EXPECT_TRUE(first.on_signal(SIGUSR1, [](int) {})) << "the second loop has ended";
}

// Each process has its own signals, even a child that has the descriptors of its parent.
TEST(Signals, AForkedChildTakesItsOwnSignals) {
  const Blocked blocked({SIGUSR1});
  auto parents = std::make_unique<Loop>();
  ASSERT_TRUE(parents->on_signal(SIGUSR1, [](int) {}));
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Loop own;
    const bool took = static_cast<bool>(own.on_signal(SIGUSR1, [](int) {}));
    char waits = 0;
    ::close(ends[1]);
    const bool waited = ::read(ends[0], &waits, 1) == 0;
    ::_exit(took && waited ? 0 : 1);
  }
  // The child still has the descriptors of this loop when another one takes the signal.
  parents.reset();
  EXPECT_TRUE(Loop().on_signal(SIGUSR1, [](int) {}));
  ::close(ends[1]);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(ends[0]);
}

}  // namespace
