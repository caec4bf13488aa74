#pragma once

#include "tern/unique_function.h"

#include "net/fd.h"
#include "net/loop_core.h"

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

  explicit Signals(LoopCore& core) noexcept : core_(core) { ::sigemptyset(&wanted_); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  /// As Loop::on_signal.
  std::error_code listen(int signo, Function function);
  /// Stops listening to all.
  void clear() noexcept;

  void on_ready(std::uint32_t events) noexcept override;

 private:
  std::error_code apply(const sigset_t& wanted) noexcept;
  void deliver(int signo) noexcept;

  LoopCore& core_;
  Fd fd_{};
  sigset_t wanted_;
  // Shared with a call in progress, which may replace its own function.
  std::map<int, std::shared_ptr<Function>> functions_{};
};

}  // namespace tern::net
