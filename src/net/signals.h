#pragma once

#include "tern/unique_function.h"

#include "net/fd.h"
#include "net/loop_core.h"
#include "net/signal_claim.h"

#include <cstdint>
#include <map>
#include <memory>
#include <signal.h>
#include <system_error>

namespace tern::net {

/// Signals as events, through one signalfd. Signals must be blocked by the application; no mask is
/// touched.
class Signals final : public Watcher {
 public:
  using Function = UniqueFunction<void(int)>;

  /// `claim` must live longer.
  Signals(LoopCore& core, SignalClaim& claim) noexcept : core_(core), claim_(claim) {
    ::sigemptyset(&wanted_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  /// As Loop::on_signal.
  std::error_code listen(int signo, Function function);
  /// Stops listening to all.
  void clear() noexcept;
  /// For a loop that got a new poller: listens there.
  std::error_code reopen() noexcept;

  void on_ready(std::uint32_t events) noexcept override;

 private:
  std::error_code apply(const sigset_t& wanted) noexcept;
  void deliver(int signo) noexcept;

  LoopCore& core_;
  SignalClaim& claim_;
  Fd fd_{};
  sigset_t wanted_;
  // Shared with a call in progress, which may replace its own function.
  std::map<int, std::shared_ptr<Function>> functions_{};
};

}  // namespace tern::net
