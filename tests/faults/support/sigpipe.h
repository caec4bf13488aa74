// SIGPIPE as the system has it: it ends the process that writes to a peer who is gone.
#pragma once

#include <csignal>
#include <gtest/gtest.h>
#include <pthread.h>

namespace tern::test {

/// SIGPIPE would kill here and now; the end of the scope checks that it still would.
class DeadlySigpipe {
 public:
  DeadlySigpipe() {
    struct sigaction deadly {};
    deadly.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &deadly, nullptr);
  }
  ~DeadlySigpipe() {
    struct sigaction now {};
    ::sigaction(SIGPIPE, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
    EXPECT_FALSE(blocked());
  }
  DeadlySigpipe(const DeadlySigpipe&) = delete;
  DeadlySigpipe& operator=(const DeadlySigpipe&) = delete;

  /// In the thread that calls.
  static bool blocked() {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, SIGPIPE) != 0;
  }
};

}  // namespace tern::test
