#pragma once

#include "tern/unique_function.h"

#include "topics/arrival.h"

#include <atomic>
#include <cstddef>
#include <mutex>

namespace tern::topics {

/// The publications for one worker, from the publishers until the worker has delivered them. Their
/// number and their bytes are bounded. A topic gets at most four times as much room as it leaves
/// free. So a busy topic never takes all of it, and publications to other topics find room. Thread:
/// any for reserve, cancel and push; the worker's for all others.
class Inbox {
 public:
  struct Bounds {
    std::size_t count;
    std::size_t bytes;
  };

  /// The publications of one topic. The inbox guards it.
  struct Share {
    std::size_t count = 0;
    std::size_t bytes = 0;
  };

  /// `bell` tells the worker that something came; any thread may call it. It must not throw.
  Inbox(Bounds bounds, UniqueFunction<void()> bell) noexcept
      : bounds_(bounds), bell_(std::move(bell)) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// Reserves room for one publication. Returns false if there is none. An empty inbox has room for
  /// any one.
  bool reserve(Share& of_topic, std::size_t bytes) noexcept;
  /// Gives up a reservation.
  void cancel(Share& of_topic, std::size_t bytes) noexcept { release(of_topic, 1, bytes); }
  /// Appends a publication for which room is reserved, and owns it.
  void push(Arrival* arrival) noexcept;

  /// Whether publications came that the worker has not delivered. A thread sees at least its own.
  bool busy() const noexcept { return busy_.load(std::memory_order_relaxed); }
  /// Moves all that came into `list`, which must be empty. They count until release().
  void take(ArrivalList& list) noexcept;
  /// Publications of a topic were delivered or dropped.
  void release(Share& of_topic, std::size_t count, std::size_t bytes) noexcept;
  /// All that was taken is delivered. busy() becomes false, unless something came meanwhile.
  /// Returns false in that case; then the worker must take it, because the bell may have rung
  /// before.
  bool rest() noexcept;
  /// The number of publications that were reserved and not released.
  std::size_t waiting() const noexcept;

 private:
  const Bounds bounds_;
  UniqueFunction<void()> bell_;
  std::atomic<bool> busy_{false};
  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  ArrivalList list_{};
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace tern::topics
