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

/// What a descriptor can be ready for, in the words of this room: <sys/epoll.h> stays inside.
inline constexpr std::uint32_t readable = EPOLLIN;
inline constexpr std::uint32_t writable = EPOLLOUT;
/// An error or a hang-up; comes unasked.
inline constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
/// Asks for one call for each time that the descriptor becomes ready.
inline constexpr std::uint32_t edge = EPOLLET;

/// Something with a descriptor. Not owned by the Poller: call remove() before the descriptor is
/// closed.
class Watcher : public base::ListHook<AgainTag> {
 public:
  /// Called when the descriptor is ready; `events` of those above. May come with an event that is
  /// no longer asked for.
  virtual void on_ready(std::uint32_t events) noexcept = 0;

 protected:
  Watcher() noexcept = default;
  ~Watcher() = default;
};

/// epoll. After remove(), a watcher hears nothing more, not even events that the last wait() had
/// already brought. Thread: one.
class Poller {
 public:
  using Clock = std::chrono::steady_clock;

  Poller() noexcept;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Why the constructor failed, if it did.
  std::error_code error() const noexcept { return error_; }

  /// Whether this process is a child, made by fork(), of the one that opened the epoll instance.
  /// Both share the instance, so the child leaves it alone: it removes nothing, adds nothing and
  /// does not wait, until reopen().
  bool is_copy() const noexcept { return mark_.in_child(); }
  /// Opens an epoll instance for this process. What was added must be added again.
  void reopen() noexcept;

  std::error_code add(int fd, std::uint32_t events, Watcher& watcher) noexcept;
  std::error_code modify(int fd, std::uint32_t events, Watcher& watcher) noexcept;
  /// Forgets the watcher, here and in the kernel; before close(fd), as a forked child may keep the
  /// socket open.
  void remove(int fd, Watcher& watcher) noexcept;

  /// Calls watcher.on_ready(EPOLLIN) in a later turn, without a kernel event, in the order of the
  /// calls. Once for any number of calls.
  void again(Watcher& watcher) noexcept {
    if (!watcher.linked()) again_.push_back(watcher);
  }
  bool has_again() const noexcept { return !again_.empty(); }

  /// Said by a watcher that found something in its descriptor: guess() may try it again, until
  /// remove(). Only while it is added.
  void heard(Watcher& watcher) noexcept {
    last_heard_ = &watcher;
    guessed_right_ = true;
  }
  /// Whether the watcher that was heard last may be asked without asking the kernel who is ready:
  /// the last event came alone, and only a few times in a row, then wait() looks after the others.
  bool may_guess() const noexcept {
    return last_heard_ != nullptr && alone_ && guesses_ < max_guesses;
  }
  /// Calls its on_ready(EPOLLIN). Whether it heard something. Only if may_guess().
  bool guess() noexcept;

  /// Waits until something is ready or `deadline` has come; time_point::max() waits for ever, min()
  /// not at all. Signals do not shorten the wait. Returns how many are ready; call dispatch() then.
  int wait(Clock::time_point deadline) noexcept;
  /// Calls on_ready of all that are ready, then of those that asked for it through again() before
  /// this call: of at least one, and of as many as a millisecond allows. The others keep their
  /// place for the next call. So those with much work share that time, and those with little never
  /// wait for all of it.
  void dispatch() noexcept;

 private:
  static constexpr std::size_t max_events = 512;
  static constexpr int max_guesses = 8;  // in a row, right or wrong
  static constexpr std::chrono::milliseconds again_time{1};

  void dispatch_again(base::IntrusiveList<Watcher, AgainTag>& round) noexcept;

  ForkMark mark_{};
  Fd epoll_;
  std::error_code error_{};
  std::size_t next_ = 0;   // the next event to dispatch
  std::size_t count_ = 0;  // how many the last wait brought
  base::IntrusiveList<Watcher, AgainTag> again_{};
  Watcher* last_heard_ = nullptr;
  int guesses_ = 0;     // since the last wait
  bool alone_ = false;  // what came last came to one watcher only
  bool guessed_right_ = false;
  std::array<epoll_event, max_events> events_;
};

}  // namespace tern::net
