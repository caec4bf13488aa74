// Waits for events with epoll. One wait returns up to 512 events. The handler of one event may
// destroy the watcher of a later event in the same batch, and the number of its descriptor may
// already be in use again. So remove() deletes the watcher from the rest of the batch. This is a
// scan, but over few contiguous bytes and only for a removal.
#include "net/poller.h"

#include "base/last_error.h"
#include "base/prefetch.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace tern::net {

namespace {

using base::last_error;

// The bytes that a turn of a watcher uses: a LiveConnection, wherever it lies in its first line.
constexpr std::size_t size_of_watcher = 320;  // five cache lines

std::error_code not_ours() noexcept {
  return std::make_error_code(std::errc::operation_not_permitted);
}

// The milliseconds until `deadline`, rounded up, because after an early return the loop would have
// to wait again.
int timeout_until(Poller::Clock::time_point deadline) noexcept {
  using Milliseconds = std::chrono::milliseconds;
  if (deadline == Poller::Clock::time_point::min()) return 0;
  if (deadline == Poller::Clock::time_point::max()) return -1;
  const auto now = Poller::Clock::now();
  if (deadline <= now) return 0;
  constexpr Milliseconds::rep longest = std::numeric_limits<int>::max();
  return static_cast<int>(
      std::min(std::chrono::ceil<Milliseconds>(deadline - now).count(), longest));
}

std::error_code control(int epoll, int operation, int fd, std::uint32_t events,
                        Watcher& watcher) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0 ? std::error_code() : last_error();
}

}  // namespace

Poller::Poller() noexcept : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) error_ = last_error();
}

void Poller::reopen() noexcept {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  error_ = epoll_ ? std::error_code() : last_error();
  mark_.renew();
  next_ = count_ = 0;
  last_heard_ = nullptr;
}

std::error_code Poller::add(int fd, std::uint32_t events, Watcher& watcher) noexcept {
  if (!epoll_) return error_;  // the reason why there is no epoll helps more than EBADF
  if (is_copy()) return not_ours();
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, events, watcher);
}

std::error_code Poller::modify(int fd, std::uint32_t events, Watcher& watcher) noexcept {
  if (!epoll_) return error_;
  if (is_copy()) return not_ours();
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, events, watcher);
}

void Poller::remove(int fd, Watcher& watcher) noexcept {
  if (epoll_ && !is_copy()) control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, watcher);
  watcher.unlink();
  if (last_heard_ == &watcher) last_heard_ = nullptr;
  for (std::size_t i = next_; i < count_; ++i) {
    if (events_[i].data.ptr == &watcher) events_[i].data.ptr = nullptr;
  }
}

[[gnu::hot]] int Poller::wait(Clock::time_point deadline) noexcept {
  next_ = count_ = 0;
  if (is_copy()) [[unlikely]] {
    error_ = not_ours();
    return 0;
  }
  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(max_events),
                                   timeout_until(deadline));
    if (ready >= 0) {
      count_ = static_cast<std::size_t>(ready);
      if (ready > 0) alone_ = ready == 1;
      guesses_ = 0;
      return ready;
    }
    if (errno != EINTR) {
      error_ = last_error();
      return 0;
    }
  }
}

bool Poller::guess() noexcept {
  ++guesses_;
  guessed_right_ = false;
  last_heard_->on_ready(EPOLLIN);
  return guessed_right_;
}

[[gnu::hot]] void Poller::dispatch() noexcept {
  if (has_again()) [[unlikely]]
    return dispatch_all();
  dispatch_ready();
}

void Poller::dispatch_all() noexcept {
  base::IntrusiveList<Watcher, AgainTag> round;
  round.take(again_);
  dispatch_ready();
  if (!round.empty()) dispatch_again(round);
}

[[gnu::always_inline]] inline void Poller::dispatch_ready() noexcept {
  while (next_ < count_) {
    const epoll_event event = events_[next_++];
    if (next_ < count_) base::prefetch<size_of_watcher>(events_[next_].data.ptr);
    auto* const watcher = static_cast<Watcher*>(event.data.ptr);
    if (watcher == nullptr) continue;
    // A watcher that called again() reads in its round, and a read finds the failure. epoll reports
    // again what stays unread.
    const std::uint32_t events =
        watcher->linked() ? event.events & ~(readable | broken) : event.events;
    if (events != 0) watcher->on_ready(events);
  }
}

void Poller::dispatch_again(base::IntrusiveList<Watcher, AgainTag>& round) noexcept {
  const Clock::time_point end = Clock::now() + again_time;
  do {
    round.pop_front().on_ready(EPOLLIN);
  } while (!round.empty() && Clock::now() < end);
  round.take(again_);
  again_.take(round);
}

}  // namespace tern::net
