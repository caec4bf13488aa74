// The public Loop: the core and what applications put on it.
#include "tern/loop.h"

#include "net/loop_core.h"
#include "net/signals.h"
#include "net/user_timers.h"
#include "net/watched_descriptor.h"

#include <utility>

namespace tern {

// Destroyed from the bottom up; the core last, as all others take themselves off it.
struct Loop::State {
  explicit State(LoopOptions options)
      : core(std::move(options)), timers(core), signals(core), watched() {}

  net::LoopCore core;
  net::UserTimers timers;
  net::Signals signals;
  net::WatchedDescriptors watched;
};

Loop::Loop(LoopOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Loop::~Loop() {
  // While all is still there: functions that are destroyed may come back to us from their
  // destructors.
  state_->core.shut_down();
  state_->timers.clear();
  state_->signals.clear();
  while (!state_->watched.empty()) state_->watched.pop_front().detach();
}

Result<void> Loop::run() { return state_->core.run(); }

void Loop::stop() noexcept { state_->core.stop(); }

bool Loop::post(UniqueFunction<void()> function) noexcept {
  return state_->core.mailbox()->post(std::move(function));
}

TimerId Loop::after(Duration delay, UniqueFunction<void()> function) {
  return state_->timers.after(delay, std::move(function));
}

TimerId Loop::every(Duration interval, UniqueFunction<void()> function) {
  return state_->timers.every(interval, std::move(function));
}

bool Loop::cancel(TimerId timer) noexcept { return state_->timers.cancel(timer); }

Result<Watch> Loop::watch(int fd, Interest interest, UniqueFunction<void(Ready)> function) {
  auto* const watched = new net::WatchedDescriptor(state_->core, std::move(function));
  Watch watch(watched);
  if (auto error = watched->open(fd, interest)) return Error(error, "watch a descriptor");
  state_->watched.push_back(*watched);
  return watch;
}

Result<void> Loop::on_signal(int signo, UniqueFunction<void(int)> function) {
  if (auto error = state_->signals.listen(signo, std::move(function))) {
    return Error(error, "listen to a signal");
  }
  return {};
}

Loop::Clock::time_point Loop::now() const noexcept { return state_->core.now(); }

bool Loop::in_loop_thread() const noexcept { return state_->core.in_loop_thread(); }

net::LoopCore& Loop::core() noexcept { return state_->core; }

Watch::Watch(Watch&& other) noexcept : watched_(std::exchange(other.watched_, nullptr)) {}

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    close();
    watched_ = std::exchange(other.watched_, nullptr);
  }
  return *this;
}

Watch::~Watch() { close(); }

int Watch::fd() const noexcept { return watched_ == nullptr ? -1 : watched_->fd(); }

Result<void> Watch::set_interest(Interest interest) {
  if (watched_ == nullptr) return Errc::closed;
  if (auto error = watched_->set_interest(interest)) return Error(error, "watch a descriptor");
  return {};
}

void Watch::close() noexcept {
  if (net::WatchedDescriptor* const watched = std::exchange(watched_, nullptr)) watched->close();
}

}  // namespace tern
