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

/// What a Watch points to. Owned by the Watch; the loop only knows it, so that each may end first.
class WatchedDescriptor final : public base::ListHook<WatchedTag>, public Watcher, public Retired {
 public:
  using Function = UniqueFunction<void(Ready)>;

  WatchedDescriptor(LoopCore& core, Function function) noexcept
      : core_(&core), function_(std::move(function)) {}

  /// Takes `fd` and begins; on failure leaves it alone.
  std::error_code open(int fd, Interest interest) noexcept;
  std::error_code set_interest(Interest interest) noexcept;
  int fd() const noexcept { return fd_.get(); }
  /// Stops, closes the descriptor, and destroys the object as soon as its function cannot be
  /// running.
  void close() noexcept;
  /// For a loop that got a new poller: goes on there.
  std::error_code reopen() noexcept;
  /// The loop ends: only the descriptor stays, for the Watch.
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

/// All of a loop.
using WatchedDescriptors = base::IntrusiveList<WatchedDescriptor, WatchedTag>;

}  // namespace tern::net
