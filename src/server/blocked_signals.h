#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>
#include <pthread.h>
#include <vector>

namespace tern::server {

/// Blocks the signals that stop the server in this thread and those it starts, while it lives: only
/// then does the loop get them (signalfd), and the program is not ended by them. One that comes
/// after the loop has ended is taken here: it asked for what has happened, and it must neither end
/// the program nor the next run().
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
