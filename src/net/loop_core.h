#pragma once

#include "tern/loop.h"

#include "base/assert.h"
#include "base/intrusive_list.h"
#include "net/mailbox.h"
#include "net/poller.h"
#include "net/timers.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern::net {

struct TurnTag;

/// Something that is freed when nobody in this turn can still be using it.
class Retired : public base::ListHook<TurnTag> {
 public:
  /// Called at the very end of the turn in which it was retired; destroys the object.
  virtual void on_retired() noexcept = 0;

 protected:
  Retired() noexcept = default;
  ~Retired() = default;
};

/// Something with work for the end of the turn, such as a connection with bytes to write. Once
/// retired it is never called.
class Deferred : public Retired {
 public:
  /// Called once for each turn in which it was deferred; may defer itself, and others, again for
  /// the same turn.
  virtual void at_turn_end() noexcept = 0;

 protected:
  ~Deferred() = default;
};

/// The loop as tern's rooms see it. A turn is: epoll_wait (or a guess) → now() → ready watchers →
/// due timers → posted functions → deferred objects until there are none → retired objects. Thread:
/// stop(), in_loop_thread() and what mailbox() allows from any; all else in the loop's, or while it
/// does not run.
class LoopCore {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::size_t receive_buffer_bytes = std::size_t{512} << 10;

  explicit LoopCore(LoopOptions options);
  ~LoopCore();
  LoopCore(const LoopCore&) = delete;
  LoopCore& operator=(const LoopCore&) = delete;

  /// As of Loop.
  Result<void> run();
  /// Why run() cannot work: its descriptors could not be opened.
  std::error_code error() const noexcept { return error_; }
  void stop() noexcept;
  /// As Poller::is_copy.
  bool is_copy() const noexcept { return poller_.is_copy(); }
  /// Opens what a copy needs to run. What others have added to the poller they add again.
  std::error_code reopen() noexcept;
  /// Refuses posts from now on and destroys those that wait. Not in a copy: a thread of the parent
  /// may hold the mailbox's lock there for ever.
  void refuse_posts() noexcept;
  /// The end: refuses posts from now on, destroys what waits and what is retired. Not while it
  /// runs.
  void shut_down() noexcept;
  time_point now() const noexcept { return now_; }
  bool in_loop_thread() const noexcept {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  /// In debug builds: dies unless this is the loop's thread, or the loop does not run.
  void assert_thread() const noexcept {
    TERN_DEBUG_ASSERT(in_loop_thread() || !running() || is_copy());
  }
  bool running() const noexcept {
    return thread_.load(std::memory_order_relaxed) != std::thread::id();
  }
  /// Whether a turn is in progress: callers up the stack may hold references.
  bool in_turn() const noexcept { return in_turn_; }

  Poller& poller() noexcept { return poller_; }
  Timers& timers() noexcept { return timers_; }
  const std::shared_ptr<Mailbox>& mailbox() const noexcept { return mailbox_; }

  /// Calls at_turn_end() at the end of this turn (outside of one: of the next). Once for any number
  /// of calls.
  void defer(Deferred& object) noexcept {
    assert_thread();
    if (!object.linked()) deferred_.push_back(object);
  }
  /// Calls on_retired() at the very end of this turn; outside of one: of the next, or when the loop
  /// ends. Once only.
  void retire(Retired& object) noexcept {
    assert_thread();
    object.unlink();
    retired_.push_back(object);
  }
  /// Calls watcher.on_ready(EPOLLIN) in the next turn, which then does not sleep: for what stopped
  /// with bytes unread.
  void again(Watcher& watcher) noexcept {
    assert_thread();
    poller_.again(watcher);
  }

  /// One buffer for all reads of this loop, allocated at the first call; empty when memory is out.
  /// Its contents are anybody's after the caller's on_ready has returned.
  std::span<std::byte> receive_buffer() noexcept;

  /// Calls what the application gave us; an exception goes to LoopOptions::on_exception and no
  /// further.
  template <class F, class... A>
  void call_user(F& function, A&&... arguments) noexcept {
    try {
      function(std::forward<A>(arguments)...);
    } catch (...) {
      report_exception();
    }
  }

 private:
  // Hears the mailbox's descriptor. Nothing to do: having woken is all, the turn empties the
  // mailbox anyway.
  class Alarm final : public Watcher {
   public:
    void on_ready(std::uint32_t) noexcept override {}
  };

  void report_exception() noexcept;  // only in a catch block
  std::error_code open() noexcept;
  void turn() noexcept;
  void wait() noexcept;
  bool spin() noexcept;                 // false: the time is over and nothing came
  bool guess(time_point now) noexcept;  // true: there is something to do
  bool has_work() const noexcept {
    return poller_.has_again() || !deferred_.empty() || !retired_.empty() || !batch_.empty();
  }
  void run_posted() noexcept;
  void run_batch() noexcept;
  void run_deferred() noexcept;
  void free_retired() noexcept;

  LoopOptions options_;
  time_point now_;
  std::atomic<bool> stop_{false};
  std::atomic<std::thread::id> thread_{};
  bool in_turn_ = false;
  Poller poller_{};
  Timers timers_{};
  std::shared_ptr<Mailbox> mailbox_;
  Alarm alarm_{};
  std::error_code error_;                   // why it cannot run; after what it is computed from
  std::vector<Mailbox::Function> batch_{};  // taken from the mailbox, run in part
  std::size_t next_in_batch_ = 0;
  base::IntrusiveList<Deferred, TurnTag> deferred_{};
  base::IntrusiveList<Retired, TurnTag> retired_{};
  std::unique_ptr<std::byte[]> receive_buffer_{};
};

}  // namespace tern::net
