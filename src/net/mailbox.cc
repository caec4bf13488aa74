// Passes functions from other threads to the loop. The queue is a vector under a mutex, and the
// loop takes the whole vector. So the lock is held only for a push or a swap, never while code of
// the application runs.
//
// A wake-up costs a system call, so post() makes it only if the loop sleeps. post() first sets
// `waiting_` and then reads `asleep_`; the loop first sets `asleep_` and then reads `waiting_`.
// Both use sequentially consistent order, so at least one of them sees the mark of the other. The
// first post that sees `asleep_` clears it, so there is one write for each batch.
#include "net/mailbox.h"

#include "net/event.h"

#include <new>

namespace tern::net {

Mailbox::Mailbox(Bounds bounds) noexcept : bounds_(bounds) {
  Opened event = open_event();
  event_ = std::move(event.fd);
  error_ = event.error;
  closed_ = !event_;
}

bool Mailbox::post(Function function, Load load) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // The block of the function before is alive, so an equal address means the same block.
    if (load.shared != nullptr && load.shared == last_shared_) load.bytes = 0;
    if (closed_ || (load.bounded && !has_room(load.bytes))) return false;
    try {
      queue_.push_back(std::move(function));
    } catch (const std::bad_alloc&) {
      return false;
    }
    queued_bytes_ += load.bytes;
    last_shared_ = load.shared;
    waiting_.store(true);
  }
  if (asleep_.load() && asleep_.exchange(false)) wake();
  return true;
}

void Mailbox::announce() noexcept {
  waiting_.store(true);
  if (asleep_.load() && asleep_.exchange(false)) wake();
}

// The caller holds the lock. The sum of the bytes cannot overflow, because all of them are in
// memory.
bool Mailbox::has_room(std::size_t bytes) const noexcept {
  if (queue_.empty()) return true;
  if (queue_.size() >= bounds_.functions) return false;
  return bytes == 0 || (bytes <= bounds_.bytes && queued_bytes_ <= bounds_.bytes - bytes);
}

void Mailbox::close() noexcept {
  std::vector<Function> left;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  left.swap(queue_);
  queued_bytes_ = 0;
  last_shared_ = nullptr;
  waiting_.store(false);
}

bool Mailbox::closed() const noexcept {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Mailbox::wake() const noexcept { signal_event(event_.get()); }

[[gnu::hot]] void Mailbox::take(std::vector<Function>& batch) noexcept {
  if (!waiting_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  batch.swap(queue_);
  queued_bytes_ = 0;
  last_shared_ = nullptr;
  waiting_.store(false);
}

[[gnu::hot]] bool Mailbox::prepare_to_sleep() noexcept {
  asleep_.store(true);
  if (!waiting_.load()) return true;
  awake();
  return false;
}

}  // namespace tern::net
