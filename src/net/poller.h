#pragma once

#include "base/intrusive_list.h"
#include "net/fd.h"
#include "net/fork_mark.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sys/epoll.h>
#include <system_error>

namespace tern::net {

struct AgainTag;

/// The events of a descriptor. Other rooms use these names, so that they do not need <sys/epoll.h>.
inline constexpr std::uint32_t readable = EPOLLIN;
inline constexpr std::uint32_t writable = EPOLLOUT;
/// An error or a hang-up. It is reported even if it was not requested.
inline constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
/// Requests only one call each time the descriptor becomes ready.
inline constexpr std::uint32_t edge = EPOLLET;

/// An object with a descriptor. The Poller does not own it: call remove() before the descriptor is
/// closed.
class Watcher : public base::ListHook<AgainTag> {
 public:
  /// The poller calls this when the descriptor is ready. `events` holds the events above. An event
  /// may arrive although it is no longer requested.
  virtual void on_ready(std::uint32_t events) noexcept = 0;

 protected:
  Watcher() noexcept = default;
  ~Watcher() = default;
};

/// An epoll instance. After remove(), a watcher receives no more calls, not even for events that
/// the last wait() returned. Thread: one.
class Poller {
 public:
  using Clock = std::chrono::steady_clock;

  Poller() noexcept;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// The reason why the constructor or the last wait() failed, if it did.
  std::error_code error() const noexcept { return error_; }

  /// Returns whether this process is a forked child of the process that opened the epoll instance.
  /// Both share the instance, so the child does not use it until reopen(): it adds nothing, removes
  /// nothing and does not wait.
  bool is_copy() const noexcept { return mark_.in_child(); }
  /// Opens an epoll instance for this process. All watchers must be added again.
  void reopen() noexcept;

  std::error_code add(int fd, std::uint32_t events, Watcher& watcher) noexcept;
  std::error_code modify(int fd, std::uint32_t events, Watcher& watcher) noexcept;
  /// Removes the watcher here and from the kernel. Call it before close(fd), because a forked child
  /// may keep the socket open.
  void remove(int fd, Watcher& watcher) noexcept;

  /// Makes a later dispatch() call watcher.on_ready(EPOLLIN) without an event of the kernel, in the
  /// order of these calls. Several calls count as one.
  void again(Watcher& watcher) noexcept {
    if (!watcher.linked()) again_.push_back(watcher);
  }
  bool has_again() const noexcept { return !again_.empty(); }

  /// A watcher calls this when it has read something from its descriptor. guess() may then call it
  /// again, until remove(). Call it only while the watcher is added.
  void heard(Watcher& watcher) noexcept {
    last_heard_ = &watcher;
    guessed_right_ = true;
  }
  /// Returns whether guess() may call the last watcher that called heard(), without epoll. It may
  /// if the last wait() returned only one event, and only a few times in a row: then wait() serves
  /// the other watchers.
  bool may_guess() const noexcept {
    return last_heard_ != nullptr && alone_ && guesses_ < max_guesses;
  }
  /// Calls on_ready(EPOLLIN) of this watcher. Returns whether the watcher called heard(). Call it
  /// only if may_guess().
  bool guess() noexcept;

  /// Waits until something is ready or `deadline` is reached. time_point::max() waits without a
  /// limit, min() does not wait. Signals do not shorten the wait. Returns the number of ready
  /// descriptors; call dispatch() then.
  int wait(Clock::time_point deadline) noexcept;
  /// Calls on_ready() of all ready watchers, then of the watchers that called again() before: of at
  /// least one, and of as many as a millisecond allows. The others keep their place for the next
  /// call. So watchers with much work share this millisecond, and watchers with little work do not
  /// wait for all of them.
  void dispatch() noexcept;

 private:
  static constexpr std::size_t max_events = 512;
  static constexpr int max_guesses = 8;  // in a row, right or wrong
  static constexpr std::chrono::milliseconds again_time{1};

  void dispatch_all() noexcept;
  void dispatch_ready() noexcept;
  void dispatch_again(base::IntrusiveList<Watcher, AgainTag>& round) noexcept;

  ForkMark mark_{};
  Fd epoll_;
  std::error_code error_{};
  std::size_t next_ = 0;   // the next event to dispatch
  std::size_t count_ = 0;  // the number of events of the last wait
  base::IntrusiveList<Watcher, AgainTag> again_{};
  Watcher* last_heard_ = nullptr;
  int guesses_ = 0;     // since the last wait
  bool alone_ = false;  // the last events were for one watcher only
  bool guessed_right_ = false;
  std::array<epoll_event, max_events> events_;
};

}  // namespace tern::net
