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

/// Signals as events of a loop, through one signalfd. The application must block the signals; this
/// class changes no mask.
class Signals final : public Watcher {
 public:
  using Function = UniqueFunction<void(int)>;

  /// Lifetime: `claim` must outlive this object.
  Signals(LoopCore& core, SignalClaim& claim) noexcept : core_(core), claim_(claim) {
    ::sigemptyset(&wanted_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  /// Like Loop::on_signal().
  std::error_code listen(int signo, Function function);
  /// Stops taking all signals.
  void clear() noexcept;
  /// Adds the signalfd to the poller again, after LoopCore::reopen().
  std::error_code reopen() noexcept;

  void on_ready(std::uint32_t events) noexcept override;

 private:
  std::error_code apply(const sigset_t& wanted) noexcept;
  void deliver(int signo) noexcept;

  LoopCore& core_;
  SignalClaim& claim_;
  Fd fd_{};
  sigset_t wanted_;
  // A call in progress shares its function, because it may replace it.
  std::map<int, std::shared_ptr<Function>> functions_{};
};

}  // namespace tern::net
