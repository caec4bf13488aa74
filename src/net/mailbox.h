#pragma once

#include "tern/unique_function.h"

#include "net/fd.h"

#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace tern::net {

/// Holds the functions that other threads want a loop to run. The loop shares it with all threads
/// that post; they may keep it longer than the loop lives.
/// Thread: any for post, wake, close and closed; the loop's for all else.
class Mailbox {
 public:
  using Function = UniqueFunction<void()>;

  /// How much may wait. An empty mailbox takes any one function.
  struct Bounds {
    std::size_t functions;
    std::size_t bytes = std::numeric_limits<std::size_t>::max();
  };
  /// What a function counts for.
  struct Load {
    /// Bytes that it keeps in memory until it has run.
    std::size_t bytes = 0;
    /// Names the block that holds these bytes, if many functions share it. The bytes count once for
    /// functions that follow each other with the same block.
    const void* shared = nullptr;
    /// false: the bounds do not apply, because something else bounds how many there are.
    bool bounded = true;
  };

  explicit Mailbox(Bounds bounds) noexcept;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Appends a function. Returns false and destroys it when the mailbox is closed or full, or when
  /// memory is out. Wakes the loop with one write for each batch, and with none while it is awake.
  bool post(Function function, Load load) noexcept;
  bool post(Function function) noexcept { return post(std::move(function), Load{}); }
  /// Refuses posts from now on and destroys what waits, outside the lock.
  void close() noexcept;
  bool closed() const noexcept;
  /// Wakes the loop. Async-signal-safe.
  void wake() const noexcept;

  /// Moves all that waits, in the order posted, into `batch`, which must be empty. The bounds apply
  /// to what waits behind it from now on, so at most twice as much is in memory.
  void take(std::vector<Function>& batch) noexcept;
  /// Whether something waits; a hint, cheap enough to be polled.
  bool waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// To be called before sleeping; false when something waits, so that the loop must not sleep.
  bool prepare_to_sleep() noexcept;
  void awake() noexcept { asleep_.store(false, std::memory_order_relaxed); }

  /// Becomes readable, edge by edge (EPOLLET), when the loop must wake; need not be read.
  int fd() const noexcept { return event_.get(); }
  /// Why the constructor failed, if it did; then it is closed.
  std::error_code error() const noexcept { return error_; }

 private:
  bool has_room(std::size_t bytes) const noexcept;

  const Bounds bounds_;
  Fd event_;
  std::error_code error_{};
  std::atomic<bool> waiting_{false};  // the queue is not empty
  std::atomic<bool> asleep_{false};   // the loop sleeps, or is about to
  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  std::vector<Function> queue_{};
  std::size_t queued_bytes_ = 0;
  const void* last_shared_ = nullptr;  // the block of the last function in the queue; only compared
  bool closed_ = false;
};

}  // namespace tern::net
