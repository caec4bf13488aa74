// SIGPIPE with its default disposition: it ends a process that writes to a peer that is gone.
#pragma once

#include "tern/dial.h"

#include "faults/support/attacked.h"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <gtest/gtest.h>
#include <pthread.h>
#include <string>

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

/// Adds /flood: a message makes it write until the kernel has returned EPIPE `least` times, and
/// then three times more. `blocked` receives whether its thread hides from SIGPIPE.
inline void add_flood(Attacked& attacked, std::uint64_t least, Inbox<bool>& blocked) {
  // A message is so large that it is written before the end of the turn.
  const auto flood = [&blocked, least, large = std::string(700'000, 'x')](Connection& conn,
                                                                          Message) {
    using Clock = std::chrono::steady_clock;
    blocked.put(DeadlySigpipe::blocked());
    const auto wanted = sys::broken_pipes() + least;
    const auto give_up = Clock::now() + enough_time;
    while (sys::broken_pipes() < wanted && Clock::now() < give_up) conn.send(large);
    for (int i = 0; i < 3; ++i) conn.send(large);
  };
  attacked.server.route(
      "/flood",
      Handlers{.on_open = [&attacked](Connection&) { ++attacked.opened; },
               .on_message = flood,
               .on_close = [&attacked](Connection&, const CloseInfo& i) { attacked.ended(i); }});
}

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
