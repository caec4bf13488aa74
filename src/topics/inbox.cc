// A publisher reserves room with all workers before it gives the publication to the first of them.
// So a publication reaches all of them or none. A reservation counts until the last subscriber of
// the worker has the message, so that a worker that is slow bounds its publishers.
#include "topics/inbox.h"

namespace tern::topics {

bool Inbox::reserve(std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const bool fits =
      count_ < bounds_.count && bytes <= bounds_.bytes && bytes_ <= bounds_.bytes - bytes;
  if (count_ > 0 && !fits) return false;
  ++count_;
  bytes_ += bytes;
  return true;
}

// Only the first publication rings, because the worker takes all that it finds.
void Inbox::push(Arrival* arrival) noexcept {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = list_.empty();
    list_.push_back(arrival);
    busy_.store(true, std::memory_order_relaxed);
  }
  if (first) bell_();
}

void Inbox::take(ArrivalList& list) noexcept {
  const std::lock_guard lock(mutex_);
  list_.swap(list);
}

void Inbox::release(std::size_t count, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  count_ -= count;
  bytes_ -= bytes;
}

void Inbox::rest() noexcept {
  const std::lock_guard lock(mutex_);
  if (list_.empty()) busy_.store(false, std::memory_order_relaxed);
}

std::size_t Inbox::waiting() const noexcept {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace tern::topics
