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
struct DependentTag;

/// An object that is freed when no caller in this turn can still use it.
class Retired : public base::ListHook<TurnTag> {
 public:
  /// Destroys the object. The loop calls it at the very end of the turn in which it was retired.
  virtual void on_retired() noexcept = 0;

 protected:
  Retired() noexcept = default;
  ~Retired() = default;
};

/// An object with work for the end of the turn, such as a connection with bytes to write. The loop
/// does not call it after it was retired.
class Deferred : public Retired {
 public:
  /// Does the work. The loop calls it once for each turn in which the object was deferred. It may
  /// defer itself and others again for the same turn.
  virtual void at_turn_end() noexcept = 0;

 protected:
  ~Deferred() = default;
};

/// An object that needs the loop and may outlive it, such as a client.
class Dependent : public base::ListHook<DependentTag> {
 public:
  /// The loop ends. It no longer runs, and this is the last moment at which it can be used.
  virtual void on_loop_end() noexcept = 0;

 protected:
  Dependent() noexcept = default;
  ~Dependent() = default;
};

/// An object that other threads leave work for, outside of the mailbox.
class Inbound {
 public:
  /// Mailbox::announce() was called, or a function was posted. The loop calls it before it runs the
  /// posted functions.
  virtual void on_announced() noexcept = 0;

 protected:
  ~Inbound() = default;
};

/// The loop for the other rooms of tern. A turn is: epoll_wait (or a guess) → now() → ready
/// watchers → due timers → posted functions → deferred objects until there are none → retired
/// objects. Thread: any for stop(), in_loop_thread() and the calls that Mailbox allows; the loop's
/// thread for all others, or any thread while the loop does not run.
class LoopCore {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::size_t receive_buffer_bytes = std::size_t{512} << 10;

  explicit LoopCore(LoopOptions options);
  ~LoopCore();
  LoopCore(const LoopCore&) = delete;
  LoopCore& operator=(const LoopCore&) = delete;

  /// Like Loop::run().
  Result<void> run() noexcept;
  /// From now on a driver with a time of its own calls step(), and nothing calls run().
  void begin_steps() noexcept { steps_ = true; }
  /// Runs one turn that does not wait, at the time `now`, which is later than that of the last
  /// turn. Returns whether anything was ready or posted.
  bool step(time_point now) noexcept;
  /// The reason why run() fails: the loop could not open its descriptors.
  std::error_code error() const noexcept { return error_; }
  void stop() noexcept;
  /// Like Poller::is_copy().
  bool is_copy() const noexcept { return poller_.is_copy(); }
  /// Opens the descriptors that a copy needs to run. The owners of watchers must add them again.
  std::error_code reopen() noexcept;
  /// Refuses later posts and destroys the waiting ones. Does nothing in a copy, because a thread of
  /// the parent may have held the mailbox's lock at the fork, and the lock then stays locked.
  void refuse_posts() noexcept;
  /// Ends the loop: refuses later posts, calls the dependents, and destroys waiting posts and
  /// retired objects. The loop must not be running.
  void shut_down() noexcept;
  time_point now() const noexcept { return now_; }
  /// The time of the clock at this moment, which is later than now() if a handler takes long. With
  /// step() it is now().
  time_point clock() const noexcept { return steps_ ? now_ : std::chrono::steady_clock::now(); }
  /// Returns now() in units of 2^20 ns, about a millisecond, for small objects. It overflows after
  /// 52 days.
  std::uint32_t moment() const noexcept {
    return static_cast<std::uint32_t>(now_.time_since_epoch().count() >> 20);
  }
  bool in_loop_thread() const noexcept { return mailbox_->reader() == std::this_thread::get_id(); }
  /// In debug builds, aborts unless this is the loop's thread or the loop does not run.
  void assert_thread() const noexcept {
    TERN_DEBUG_ASSERT(in_loop_thread() || !running() || is_copy());
  }
  bool running() const noexcept { return mailbox_->reader() != std::thread::id(); }
  /// Returns whether a turn is in progress. Then callers up the stack may hold references.
  bool in_turn() const noexcept { return in_turn_; }

  Poller& poller() noexcept { return poller_; }
  Timers& timers() noexcept { return timers_; }
  const std::shared_ptr<Mailbox>& mailbox() const noexcept { return mailbox_; }

  /// Makes the loop call object.at_turn_end() at the end of this turn, or of the next turn if none
  /// is in progress. Several calls count as one.
  void defer(Deferred& object) noexcept {
    assert_thread();
    if (!object.linked()) deferred_.push_back(object);
  }
  /// Makes the loop call object.on_retired() at the very end of this turn. If none is in progress,
  /// it happens at the end of the next turn or when the loop ends. Call it only once.
  void retire(Retired& object) noexcept {
    assert_thread();
    object.unlink();
    retired_.push_back(object);
  }
  /// Calls object.on_loop_end() when the loop ends, unless the object has left the list before.
  void add(Dependent& object) noexcept { dependents_.push_back(object); }
  /// Makes the loop call `inbound` after Mailbox::announce(); null for none.
  void set_inbound(Inbound* inbound) noexcept { inbound_ = inbound; }
  /// The object that all clients of this loop share, while there are any. The room `client` defines
  /// its type.
  std::weak_ptr<void>& shared_by_clients() noexcept { return shared_by_clients_; }
  /// Makes the loop call watcher.on_ready(EPOLLIN) in the next turn, which then does not sleep. For
  /// a watcher that stopped while bytes were unread.
  void again(Watcher& watcher) noexcept {
    assert_thread();
    poller_.again(watcher);
  }

  /// Returns one buffer for all reads of this loop; empty if memory is out. The first call
  /// allocates it. Lifetime of its contents: until the caller's on_ready() returns, because other
  /// watchers then use it.
  std::span<std::byte> receive_buffer() noexcept;

  /// Calls a function of the application. An exception goes to LoopOptions::on_exception and is not
  /// thrown further.
  template <class F, class... A>
  void call_user(F& function, A&&... arguments) noexcept {
    try {
      function(std::forward<A>(arguments)...);
    } catch (...) {
      report_exception();
    }
  }

 private:
  // The watcher of the mailbox's descriptor. It does nothing, because the event only has to wake
  // the loop: each turn takes the posts.
  class Alarm final : public Watcher {
   public:
    void on_ready(std::uint32_t) noexcept override {}
  };

  void report_exception() noexcept;  // only in a catch block
  std::error_code open() noexcept;
  void turn() noexcept;
  void run_turn(time_point now) noexcept;
  void wait() noexcept;
  bool spin() noexcept;                 // false: the time is over and nothing happened
  bool guess(time_point now) noexcept;  // true: there is work
  bool has_work() const noexcept {
    return poller_.has_again() || !deferred_.empty() || !retired_.empty() || !batch_.empty();
  }
  void run_posted() noexcept;
  void take_posted() noexcept;
  void run_batch() noexcept;
  void run_deferred() noexcept;
  void free_retired() noexcept;

  LoopOptions options_;
  time_point now_;
  std::atomic<bool> stop_{false};
  bool in_turn_ = false;
  bool steps_ = false;  // the driver tells the time
  Poller poller_{};
  Timers timers_{};
  std::shared_ptr<Mailbox> mailbox_;
  Alarm alarm_{};
  std::error_code error_;  // the reason why it cannot run; set from the members above
  std::vector<Mailbox::Function> batch_{};  // posts from the mailbox; some may have run
  std::size_t next_in_batch_ = 0;
  base::IntrusiveList<Deferred, TurnTag> deferred_{};
  base::IntrusiveList<Retired, TurnTag> retired_{};
  base::IntrusiveList<Dependent, DependentTag> dependents_{};
  Inbound* inbound_ = nullptr;
  std::weak_ptr<void> shared_by_clients_{};
  std::unique_ptr<std::byte[]> receive_buffer_{};
};

}  // namespace tern::net
