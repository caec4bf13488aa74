// The loops append, and the driver's thread takes all at once. Memory is allocated before the lock
// and freed behind it.
#include "bridge/queue.h"

#include "net/event.h"

namespace tern::bridge {
namespace {

// The other thread has the lock for some nanoseconds. To sleep until then, and to be woken, would
// take a loop a thousand times as long. The number of attempts is bounded, because the system may
// have stopped the other thread meanwhile.
std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) noexcept {
  constexpr int attempts = 100;
  std::unique_lock lock(mutex, std::defer_lock);
  for (int i = 0; i < attempts; ++i) {
    if (lock.try_lock()) return lock;
  }
  lock.lock();
  return lock;
}

}  // namespace

Queue::Queue() noexcept {
  net::Opened event = net::open_event();
  wake_ = std::move(event.fd);
  error_ = event.error;
}

void Queue::wake() const noexcept { net::signal_event(wake_.get()); }

void Queue::start(Bounds bounds, Mode mode) noexcept {
  CommandList old;
  const std::lock_guard lock(mutex_);
  bounds_ = bounds;
  mode_ = mode;
  list_.swap(old);
  bytes_ = 0;
  oldest_taken_.reset();
  oldest_here_.reset();
}

void Queue::set_mode(Mode mode) noexcept {
  const std::lock_guard lock(mutex_);
  mode_ = mode;
}

// An empty queue takes any one publication, also a large one.
bool Queue::is_over(std::size_t bytes, TimePoint now) const noexcept {
  if (bytes_ > 0 && (bytes > bounds_.bytes || bytes_ > bounds_.bytes - bytes)) return true;
  const std::optional<TimePoint>& oldest = oldest_taken_ ? oldest_taken_ : oldest_here_;
  return oldest && now - *oldest > bounds_.time;
}

PublishStatus::Value Queue::publish(std::unique_ptr<Command> command) noexcept {
  const std::size_t bytes = command->weight();
  bool rings = false;
  {
    const auto lock = lock_soon(mutex_);
    if (mode_ == Mode::stopped) return PublishStatus::stopped;
    if (mode_ == Mode::refuses || is_over(bytes, command->queued)) {
      const bool full = mode_ == Mode::up;
      ++(full ? counts_.refused_full : counts_.refused_down);
      return full ? PublishStatus::full : PublishStatus::bridge_down;
    }
    if (!oldest_here_) oldest_here_ = command->queued;
    bytes_ += bytes;
    rings = list_.empty();
    list_.push_back(std::move(command));
  }
  if (rings) wake();
  return PublishStatus::queued;
}

bool Queue::push(std::unique_ptr<Command> command) noexcept {
  bool rings = false;
  {
    const auto lock = lock_soon(mutex_);
    if (mode_ == Mode::stopped) return false;
    rings = list_.empty();
    list_.push_back(std::move(command));
  }
  if (rings) wake();
  return true;
}

void Queue::take(CommandList& list) noexcept {
  net::clear_event(wake_.get());
  CommandList taken;
  {
    const auto lock = lock_soon(mutex_);
    list_.swap(taken);
    if (!oldest_taken_) oldest_taken_ = oldest_here_;
    oldest_here_.reset();
  }
  if (list.empty()) return list.swap(taken);
  while (!taken.empty()) list.push_back(taken.pop_front());
}

void Queue::release(std::size_t bytes, std::optional<TimePoint> oldest) noexcept {
  const auto lock = lock_soon(mutex_);
  bytes_ -= bytes;
  oldest_taken_ = oldest;
}

Queue::Counts Queue::counts() const noexcept {
  const auto lock = lock_soon(mutex_);
  Counts counts = counts_;
  counts.waiting_bytes = bytes_;
  return counts;
}

}  // namespace tern::bridge
