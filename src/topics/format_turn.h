// The order of publishers that format their payloads. Usually they do not wait for each other: each
// one formats for the next position, and only the first to publish there succeeds.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace tern::topics {

/// The publishers of one topic that wait for their turn. Thread: any.
struct FormatQueue {
  std::mutex mutex{};
  std::atomic<std::uint32_t> waiting{0};  // the one that has the turn counts, too
};

/// The turn of one publisher, for one publication. While a publisher has the turn or waits for it,
/// all that begin wait behind it. Code of the application runs meanwhile: the format function,
/// which must not publish to the same topic.
class FormatTurn {
 public:
  /// Waits only if another publisher waits.
  explicit FormatTurn(FormatQueue& queue) : queue_(queue) {
    if (queue_.waiting.load() > 0) take();
  }
  FormatTurn(const FormatTurn&) = delete;
  FormatTurn& operator=(const FormatTurn&) = delete;
  ~FormatTurn() {
    if (!taken_) return;
    queue_.mutex.unlock();
    queue_.waiting.fetch_sub(1);
  }

  /// Waits for the turn. Does nothing if this publisher has it.
  void take() {
    if (taken_) return;
    queue_.waiting.fetch_add(1);
    queue_.mutex.lock();
    taken_ = true;
  }

 private:
  FormatQueue& queue_;
  bool taken_ = false;
};

}  // namespace tern::topics
