// The thread of a driver.
#include "bridge/driver.h"

#include "base/later.h"
#include "bridge/machine.h"
#include "bridge/queue.h"
#include "net/all_signals_blocked.h"
#include "net/fork_mark.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <poll.h>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

namespace tern::bridge {
namespace {

std::uint64_t draw_seed() noexcept {
  try {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  } catch (const std::exception&) {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
}

// Waits until `fd` is readable or `until` is there.
void wait_for(int fd, TimePoint until) noexcept {
  using std::chrono::milliseconds;
  constexpr milliseconds longest(1000);
  const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
  pollfd wanted{fd, POLLIN, 0};
  ::poll(&wanted, 1, static_cast<int>(std::clamp(left, milliseconds(0), longest).count()));
}

}  // namespace

class Thread {
 public:
  Thread(std::unique_ptr<Link> given, const DriverOptions& driver_options)
      : link(std::move(given)),
        options(driver_options),
        sources{[] { return std::chrono::steady_clock::now(); },
                [random = std::mt19937_64(draw_seed())]() mutable { return random(); }} {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { stop(std::chrono::nanoseconds(0)); }

  Result<void> start(BridgeSink& sink, const BridgeOptions& bridge) {
    if (const auto error = queue.error()) return Error(error, "eventfd");
    stopping_ = has_ended_ = false;
    fork_mark_.renew();
    machine_.emplace(*link, queue, counts, sources, sink, bridge, options);
    try {
      const net::AllSignalsBlocked blocked;
      thread_ = std::thread([this] { run(); });
      return {};
    } catch (const std::system_error& error) {
      queue.set_mode(Queue::Mode::stopped);
      machine_.reset();
      return Error(error.code(), "start the thread of a bridge");
    }
  }

  void stop(std::chrono::nanoseconds deadline) noexcept {
    if (!thread_.joinable()) return;
    const TimePoint end = base::later(std::chrono::steady_clock::now(), deadline);
    end_.store(end.time_since_epoch().count());
    stopping_ = true;
    queue.wake();
    if (!counts.up.load()) link->interrupt();  // it may be connecting
    {
      std::unique_lock lock(mutex_);
      ended_.wait_until(lock, end, [this] { return has_ended_; });
      if (!has_ended_) link->interrupt();
    }
    thread_.join();
    link->close();  // the request to stop may have come after that of the thread
    machine_.reset();
  }

  /// Whether the thread runs in the parent of this process. Then this object is a copy that nothing
  /// may touch: the thread may have held its locks during the fork, and the connection of the link
  /// is the parent's, too.
  bool is_the_parents() const noexcept { return thread_.joinable() && fork_mark_.in_child(); }

  const std::unique_ptr<Link> link;
  const DriverOptions options;
  Queue queue{};
  MachineCounts counts{};
  MachineSources sources;

 private:
  void run() noexcept {
    while (!stopping_) {
      const TimePoint next = machine_->step();
      if (!machine_->is_up() && !stopping_) wait_for(queue.wake_fd(), next);
    }
    machine_->finish(TimePoint(TimePoint::duration(end_.load())));
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended_.notify_one();
  }

  std::optional<Machine> machine_{};
  std::thread thread_{};
  net::ForkMark fork_mark_{};
  std::atomic<bool> stopping_{false};
  std::atomic<TimePoint::rep> end_{0};
  std::mutex mutex_{};
  std::condition_variable ended_{};
  bool has_ended_ = false;  // guarded by mutex_
};

Driver::Driver(std::unique_ptr<Link> link, const DriverOptions& options)
    : thread_(std::make_unique<Thread>(std::move(link), options)) {}

Driver::~Driver() {
  if (thread_->is_the_parents()) static_cast<void>(thread_.release());  // it stays where it is
}

std::string Driver::problem() const { return thread_->link->problem(); }

bool Driver::is_durable() const noexcept { return thread_->link->is_durable(); }

Result<void> Driver::attach(BridgeSink& sink, const BridgeOptions& options) {
  return thread_->start(sink, options);
}

bool Driver::interest(std::string_view topic, bool wanted) noexcept {
  try {
    const auto kind = wanted ? Command::Kind::want : Command::Kind::unwant;
    thread_->queue.push(std::make_unique<Command>(kind, topic));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

PublishStatus Driver::publish(std::string_view topic, const SharedMessage& message,
                              const Origin& origin) noexcept {
  try {
    auto command = std::make_unique<Command>(Command::Kind::publish, topic);
    command->message.emplace(message);
    command->origin = origin;
    command->queued = std::chrono::steady_clock::now();
    return thread_->queue.publish(std::move(command));
  } catch (const std::bad_alloc&) {
    return PublishStatus::full;
  }
}

bool Driver::history(std::string_view topic, Position after, std::size_t count) noexcept {
  try {
    auto command = std::make_unique<Command>(Command::Kind::history, topic);
    command->after = after;
    command->count = count;
    return thread_->queue.push(std::move(command));
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Driver::detach(std::chrono::nanoseconds deadline) noexcept {
  if (!thread_->is_the_parents()) thread_->stop(deadline);
}

BridgeCounters Driver::counters() const {
  const MachineCounts& counts = thread_->counts;
  const Queue::Counts queue = thread_->queue.counts();
  return {.up = counts.up,
          .connects = counts.connects,
          .failures = counts.failures,
          .published = counts.published,
          .received = counts.received,
          .refused_full = queue.refused_full,
          .refused_down = queue.refused_down,
          .dropped_down = counts.dropped_down,
          .waiting_bytes = queue.waiting_bytes,
          .wanted = counts.wanted,
          .probe_microseconds = counts.probe_microseconds};
}

}  // namespace tern::bridge
