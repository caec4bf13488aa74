#pragma once

#include "net/fd.h"

#include <system_error>

namespace tern::net {

/// The signals that only this loop or server takes in this process. A signal goes to the first
/// signalfd that reads it, so with two readers each would miss signals at random.
/// Thread: one.
class SignalClaim {
 public:
  SignalClaim() noexcept = default;
  SignalClaim(const SignalClaim&) = delete;
  SignalClaim& operator=(const SignalClaim&) = delete;
  ~SignalClaim() { release_all(); }

  /// Claims a signal for this object. Does nothing if the object has it already. In a forked child
  /// it claims the signal again, for the child's process. Errors: Errc::signal_in_use if another
  /// object of this process has it; EMFILE, ENFILE or ENOMEM. If /proc cannot be opened, other
  /// claims are unknown and the call succeeds.
  std::error_code take(int signo) noexcept;
  void release(int signo) noexcept;
  void release_all() noexcept;

 private:
  std::error_code open() noexcept;

  Fd fd_{};
  int process_ = 0;  // the process that opened fd_
};

}  // namespace tern::net
