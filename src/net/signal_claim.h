#pragma once

#include "net/fd.h"

#include <system_error>

namespace tern::net {

/// The signals that one loop or server of this process takes alone. A signal goes to the first
/// signalfd that reads it, so a second reader would miss it at random.
/// Thread: one.
class SignalClaim {
 public:
  SignalClaim() noexcept = default;
  SignalClaim(const SignalClaim&) = delete;
  SignalClaim& operator=(const SignalClaim&) = delete;
  ~SignalClaim() { release_all(); }

  /// Claims a signal for this object. Does nothing when it has it already. A child of fork() claims
  /// anew, for its own process.
  /// Errors: Errc::signal_in_use when another object of this process has it; EMFILE and the like.
  /// Where /proc cannot be opened nothing is known about others, and that is no error.
  std::error_code take(int signo) noexcept;
  void release(int signo) noexcept;
  void release_all() noexcept;

 private:
  std::error_code open() noexcept;

  Fd fd_{};
  int process_ = 0;  // the one that opened fd_
};

}  // namespace tern::net
