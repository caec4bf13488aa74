// A publisher reserves room with all workers before it gives the publication to the first of them.
// So a publication reaches all of them or none. A reservation counts until the last subscriber of
// the worker has the message, so that a worker that is slow bounds its publishers.
#include "topics/inbox.h"

namespace tern::topics {
namespace {

// Whether `more` fits beside `all` that waits, of which a part belongs to the topic.
bool fits(std::size_t more, std::size_t all, std::size_t of_topic, std::size_t bound) noexcept {
  constexpr std::size_t times = 4;
  if (more > bound || all > bound - more) return false;
  return (of_topic + more) / times <= bound - all - more;
}

}  // namespace

bool Inbox::reserve(Share& of_topic, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const bool has_room = fits(1, count_, of_topic.count, bounds_.count) &&
                        fits(bytes, bytes_, of_topic.bytes, bounds_.bytes);
  if (count_ > 0 && !has_room) return false;
  ++count_;
  bytes_ += bytes;
  ++of_topic.count;
  of_topic.bytes += bytes;
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

void Inbox::release(Share& of_topic, std::size_t count, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  count_ -= count;
  bytes_ -= bytes;
  of_topic.count -= count;
  of_topic.bytes -= bytes;
}

bool Inbox::rest() noexcept {
  const std::lock_guard lock(mutex_);
  if (!list_.empty()) return false;
  busy_.store(false, std::memory_order_relaxed);
  return true;
}

std::size_t Inbox::waiting() const noexcept {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace tern::topics
