#pragma once

#include "tern/loop.h"
#include "tern/unique_function.h"

#include "base/intrusive_list.h"
#include "net/fd.h"
#include "net/loop_core.h"

#include <cstdint>
#include <system_error>

namespace tern::net {

struct WatchedTag;

/// The object behind a Watch. The Watch owns it and the loop only lists it, so either may end
/// first.
class WatchedDescriptor final : public base::ListHook<WatchedTag>, public Watcher, public Retired {
 public:
  using Function = UniqueFunction<void(Ready)>;

  WatchedDescriptor(LoopCore& core, Function function) noexcept
      : core_(&core), function_(std::move(function)) {}

  /// Takes the ownership of `fd` and starts to watch it. On failure it does not take `fd`.
  std::error_code open(int fd, Interest interest) noexcept;
  std::error_code set_interest(Interest interest) noexcept;
  int fd() const noexcept { return fd_.get(); }
  /// Stops watching, closes the descriptor, and destroys the object when its function cannot be
  /// running any more.
  void close() noexcept;
  /// Adds the descriptor to the poller again, after LoopCore::reopen().
  std::error_code reopen() noexcept;
  /// Called when the loop ends. The Watch keeps the descriptor, but no longer watches it.
  void detach() noexcept;

  void on_ready(std::uint32_t events) noexcept override;
  void on_retired() noexcept override { delete this; }

 private:
  ~WatchedDescriptor() = default;

  std::error_code apply(int fd, Interest interest) noexcept;

  LoopCore* core_;  // null once the loop has ended
  Fd fd_{};
  Interest interest_ = Interest::none;
  Function function_;
};

/// All watched descriptors of a loop.
using WatchedDescriptors = base::IntrusiveList<WatchedDescriptor, WatchedTag>;

}  // namespace tern::net
