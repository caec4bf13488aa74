// SIGPIPE with its default disposition: it ends a process that writes to a peer that is gone.
#pragma once

#include "tern/dial.h"

#include <csignal>
#include <gtest/gtest.h>
#include <pthread.h>

namespace tern::test {

/// As long as it lives, SIGPIPE would end the process. Its destructor checks that this is still so.
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

  /// Whether the calling thread blocks SIGPIPE.
  static bool blocked() {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, SIGPIPE) != 0;
  }
};

/// Expects that each call returns an error, again and again, because the server is gone.
inline void expect_sends_fail(BlockingClient& client) {
  for (int call = 0; call < 3; ++call) {
    const auto sent = client.send("into the void");
    EXPECT_FALSE(sent);
    if (sent) continue;
    EXPECT_EQ(sent.error().code(), Errc::connection_reset) << sent.error().message();
  }
  EXPECT_FALSE(client.ping());
  EXPECT_FALSE(client.close());
}

}  // namespace tern::test
