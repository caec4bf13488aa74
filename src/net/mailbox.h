#pragma once

#include "tern/unique_function.h"

#include "net/fd.h"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <system_error>
#include <vector>

namespace tern::net {

/// What other threads want a loop to do. Shared by the loop and by all who may post, who may
/// outlive it. Thread: post, wake, close and closed from any; all else from the loop's.
class Mailbox {
 public:
  using Function = UniqueFunction<void()>;

  /// Holds at most `capacity` functions.
  explicit Mailbox(std::size_t capacity) noexcept;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Appends a function; false, and the function is destroyed, when closed, full or out of memory.
  /// Wakes the loop with one write for each batch, and with none while the loop is awake.
  bool post(Function function) noexcept;
  /// Refuses posts from now on and destroys what waits, outside the lock.
  void close() noexcept;
  bool closed() const noexcept;
  /// Wakes the loop. Async-signal-safe.
  void wake() const noexcept;

  /// Moves all that waits, in the order posted, into `batch`, which must be empty.
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
  const std::size_t capacity_;
  Fd event_;
  std::error_code error_{};
  std::atomic<bool> waiting_{false};  // the queue is not empty
  std::atomic<bool> asleep_{false};   // the loop sleeps, or is about to
  mutable std::mutex mutex_{};
  std::vector<Function> queue_{};  // guarded by mutex_
  bool closed_ = false;            // guarded by mutex_
};

}  // namespace tern::net
