// The messages that wait while a client has no connection: a bounded queue without a clock.
#pragma once

#include "tern/client.h"
#include "tern/message.h"

#include <chrono>
#include <cstddef>
#include <deque>

namespace tern::client {

/// The queue behind ClientOptions::outbox. Thread: one.
class OutboxQueue {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Entry {
    SharedMessage message;
    SendOptions options;
    TimePoint since;
  };

  explicit OutboxQueue(const Outbox& bounds) noexcept : bounds_(bounds) {}

  /// Keeps a message. Returns false if it does not fit. Throws std::bad_alloc.
  bool push(SharedMessage message, SendOptions options, TimePoint now);
  /// Returns the oldest message that is not too old, or null. Lifetime: until the next call.
  const Entry* front(TimePoint now) noexcept;
  /// Removes front().
  void pop() noexcept { remove(); }
  bool empty() const noexcept { return entries_.empty(); }
  /// The number of messages that were dropped: too old, replaced by newer ones, or refused after
  /// their sender was told that they are kept.
  std::size_t dropped() const noexcept { return dropped_; }
  void count_dropped() noexcept { ++dropped_; }
  /// Drops all messages.
  void clear() noexcept;

 private:
  bool fits(std::size_t bytes) const noexcept;
  void drop_old(TimePoint now) noexcept;
  void drop() noexcept;
  void remove() noexcept;

  const Outbox& bounds_;
  std::deque<Entry> entries_{};
  std::size_t bytes_ = 0;  // the sum of the payloads
  std::size_t dropped_ = 0;
};

}  // namespace tern::client
