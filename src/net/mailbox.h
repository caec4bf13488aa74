#pragma once

#include "tern/unique_function.h"

#include "net/fd.h"

#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tern::net {

/// Holds the functions that other threads post to a loop.
/// Lifetime: the loop and the posting threads share it; it may outlive the loop.
/// Thread: any for post, wake, close, closed and reader; the loop's for all other calls.
class Mailbox {
 public:
  using Function = UniqueFunction<void()>;

  /// The limits of what may wait. An empty mailbox takes any one function.
  struct Bounds {
    std::size_t functions;
    std::size_t bytes = std::numeric_limits<std::size_t>::max();
  };
  /// The share of a function in the limits.
  struct Load {
    /// The bytes that the function keeps in memory until it has run.
    std::size_t bytes = 0;
    /// The address of the block that holds these bytes, if several functions share it. The bytes
    /// count once for consecutive functions with the same block.
    const void* shared = nullptr;
    /// false: the bounds do not apply, because something else bounds how many there are.
    bool bounded = true;
  };

  explicit Mailbox(Bounds bounds) noexcept;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Appends a function. Returns false and destroys the function if the mailbox is closed or full,
  /// or if memory is out. Wakes a sleeping loop with one write for each batch.
  bool post(Function function, Load load) noexcept;
  bool post(Function function) noexcept { return post(std::move(function), Load{}); }
  /// Refuses later posts, and destroys the waiting functions outside the lock.
  void close() noexcept;
  bool closed() const noexcept;
  /// Wakes the loop. Async-signal-safe.
  void wake() const noexcept;
  /// Makes the loop call its Inbound, soon: something waits for it outside of the mailbox. Wakes a
  /// sleeping loop as post() does. Needs no memory.
  void announce() noexcept;

  /// Moves all waiting functions into `batch` in their order, and forgets announcements. `batch`
  /// must be empty. The limits do not count the batch, so at most twice as much is in memory.
  void take(std::vector<Function>& batch) noexcept;
  /// Returns whether something waits. This is a hint; it is cheap enough for polling.
  bool waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// The loop calls this before it sleeps. Returns false if something waits; then it must not
  /// sleep.
  bool prepare_to_sleep() noexcept;
  void awake() noexcept { asleep_.store(false, std::memory_order_relaxed); }

  /// The thread in which the loop runs; no thread if it does not run.
  std::thread::id reader() const noexcept { return reader_.load(std::memory_order_relaxed); }
  /// The loop begins to run in this thread. Returns false if it runs already.
  bool begin_reading() noexcept {
    auto none = std::thread::id();
    return reader_.compare_exchange_strong(none, std::this_thread::get_id());
  }
  void end_reading() noexcept { reader_.store(std::thread::id()); }

  /// Returns a descriptor that wakes the loop. Watch it edge-triggered (EPOLLET); the loop does not
  /// read it.
  int fd() const noexcept { return event_.get(); }
  /// The reason why the constructor failed, if it did. The mailbox is then closed.
  std::error_code error() const noexcept { return error_; }

 private:
  bool has_room(std::size_t bytes) const noexcept;

  const Bounds bounds_;
  Fd event_;
  std::error_code error_{};
  std::atomic<bool> waiting_{false};  // the queue is not empty
  std::atomic<bool> asleep_{false};   // the loop sleeps, or is about to
  std::atomic<std::thread::id> reader_{};
  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  std::vector<Function> queue_{};
  std::size_t queued_bytes_ = 0;
  const void* last_shared_ = nullptr;  // the block of the last function in the queue; only compared
  bool closed_ = false;
};

}  // namespace tern::net
