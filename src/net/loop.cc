// Implements the public Loop: a LoopCore with the timers, signals and descriptors of the
// application.
#include "tern/loop.h"

#include "net/loop_core.h"
#include "net/signal_claim.h"
#include "net/signals.h"
#include "net/user_timers.h"
#include "net/watched_descriptor.h"

#include <utility>

namespace tern {

// The members are destroyed from the last to the first. The core is first, because the destructors
// of the others remove themselves from it.
struct Loop::State {
  explicit State(LoopOptions options)
      : core(std::move(options)), timers(core), claim(), signals(core, claim), watched() {}

  /// Gives a child of fork() an epoll instance of its own, because it shares the old one with its
  /// parent. Does nothing in other processes.
  std::error_code own() noexcept {
    if (!core.is_copy() || core.running()) return {};
    std::error_code error = core.reopen();
    if (!error) error = signals.reopen();
    net::WatchedDescriptors all;
    all.take(watched);
    while (!all.empty()) {
      net::WatchedDescriptor& each = all.pop_front();
      watched.push_back(each);
      if (!error) error = each.reopen();
    }
    return error;
  }

  net::LoopCore core;
  net::UserTimers timers;
  net::SignalClaim claim;
  net::Signals signals;
  net::WatchedDescriptors watched;
};

Loop::Loop(LoopOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Loop::~Loop() {
  if (state_->core.is_copy() && state_->core.running()) {
    // A thread of the parent is running this loop. It does not exist in this process, so the state
    // is left as it is.
    static_cast<void>(state_.release());
    return;
  }
  // This happens while all members still exist, because the destructors of stored functions may
  // call the loop.
  state_->core.shut_down();
  state_->timers.clear();
  state_->signals.clear();
  while (!state_->watched.empty()) state_->watched.pop_front().detach();
}

Result<void> Loop::run() noexcept {
  if (auto error = state_->own()) return Error(error, "start the loop");
  return state_->core.run();
}

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
  if (auto error = state_->own()) return Error(error, "watch a descriptor");
  auto* const watched = new net::WatchedDescriptor(state_->core, std::move(function));
  Watch watch(watched);
  if (auto error = watched->open(fd, interest)) return Error(error, "watch a descriptor");
  state_->watched.push_back(*watched);
  return watch;
}

Result<void> Loop::on_signal(int signo, UniqueFunction<void(int)> function) {
  auto error = state_->own();
  if (!error) error = state_->signals.listen(signo, std::move(function));
  if (error) return Error(error, "listen to a signal");
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
