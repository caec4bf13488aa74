// The signals that stop a server, blocked while it runs.
#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>
#include <pthread.h>
#include <vector>

namespace tern::server {

/// Blocks the given signals in this thread, and in the threads that this thread starts, until the
/// object is destroyed. The loop can receive a signal (signalfd) only while the signal is blocked;
/// otherwise the signal ends the program. The destructor discards signals that came after the loop
/// ended, because they must end neither the program nor the next run().
class BlockedSignals {
 public:
  explicit BlockedSignals(const std::vector<int>& signals) noexcept : any_(!signals.empty()) {
    if (!any_) return;
    ::sigemptyset(&blocked_);
    for (const int signal : signals) ::sigaddset(&blocked_, signal);
    ::pthread_sigmask(SIG_BLOCK, &blocked_, &before_);
  }
  ~BlockedSignals() {
    if (!any_) return;
    constexpr timespec at_once{};
    while (::sigtimedwait(&blocked_, nullptr, &at_once) >= 0 || errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t blocked_{};
  sigset_t before_{};
  bool any_;
};

}  // namespace tern::server
