// The event loop: one thread that waits for descriptors, timers, signals and posted functions.
#pragma once

#include "tern/error.h"
#include "tern/unique_function.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>

namespace tern {

namespace net {
class LoopCore;
class WatchedDescriptor;
}  // namespace net

/// How a Loop waits and what bounds it.
struct LoopOptions {
  /// Keeps polling for so long before it sleeps: quicker answers for a busy CPU. 0: sleeps at once.
  std::chrono::nanoseconds spin{0};
  /// How many posted functions may wait; post() returns false beyond. An empty mailbox takes one.
  std::size_t max_posted = 65'536;
  /// How many bytes of messages sent through Handles may wait; Handle::send() returns false beyond.
  /// An empty mailbox takes any one message. A SharedMessage that goes to many connections in a row
  /// counts once. As many bytes may be in delivery beside those that wait.
  std::size_t max_posted_bytes = std::size_t{64} << 20;
  /// Told what() of an exception that left a posted function, a timer, a watch or a signal handler.
  /// Such exceptions never end the loop. Empty: they are dropped.
  UniqueFunction<void(std::string_view)> on_exception{};
};

/// Names a timer of a Loop; never used twice.
enum class TimerId : std::uint64_t { none = 0 };

/// What a Watch waits for.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

/// What a watched descriptor is ready for. Errors and hang-ups show as readiness for whatever was
/// asked for: the next read or write tells.
struct Ready {
  bool readable = false;
  bool writable = false;
  bool hung_up = false;  ///< the other side is gone, or the descriptor has an error
};

/// A descriptor watched by a Loop; owns and closes it. Move-only; may outlive its loop.
/// Thread: the loop's.
class Watch {
 public:
  /// Watches nothing.
  Watch() noexcept = default;
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  /// Stops watching and closes the descriptor; also from inside its own callback, which may run on.
  ~Watch();

  /// Whether it holds a descriptor.
  explicit operator bool() const noexcept { return watched_ != nullptr; }
  /// The descriptor; -1 without one.
  int fd() const noexcept;
  /// Waits for something else from now on; `none` keeps the descriptor and hears nothing.
  Result<void> set_interest(Interest interest);
  /// What the destructor does, now.
  void close() noexcept;

  /// Made by Loop::watch.
  explicit Watch(net::WatchedDescriptor* watched) noexcept : watched_(watched) {}

 private:
  net::WatchedDescriptor* watched_ = nullptr;
};

/// An epoll loop. Everything on it runs in the thread that calls run().
/// Thread: post() and stop() from any; all else in the loop's thread, or before run().
/// No signal mask or disposition is changed and every descriptor it opens is close-on-exec.
class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using Duration = std::chrono::nanoseconds;

  /// Opens the descriptors it needs; if that fails, run() says why.
  explicit Loop(LoopOptions options = {});
  /// Destroys, without running them, the functions and timers that are left. Not while run() runs.
  /// In a child of fork() it does nothing when run() runs in the parent.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Serves until stop(); may be called again after it returned. A child of fork() that calls it
  /// gets an epoll instance of its own; the loop of the parent is left alone.
  /// Errors: Errc::already_running; those of epoll_create1, eventfd and epoll_wait.
  Result<void> run() noexcept;

  /// Makes run() return after the turn in progress. A call while run() does not run makes the next
  /// run() return at once.
  /// Thread: any; also from a signal handler.
  void stop() noexcept;

  /// Runs `function` on the loop, soon; functions of one thread run in the order posted. False when
  /// too many wait (LoopOptions::max_posted) or the loop cannot run. One that has not run when the
  /// Loop ends is destroyed, not run. Thread: any.
  bool post(UniqueFunction<void()> function) noexcept;

  /// Runs `function` once, after `delay`, never earlier.
  TimerId after(Duration delay, UniqueFunction<void()> function);
  /// Runs `function` every `interval` (at least 1 ns); turns that were missed are left out.
  TimerId every(Duration interval, UniqueFunction<void()> function);
  /// Forgets a timer; also from inside its own function. False when there is none of this id (any
  /// more).
  bool cancel(TimerId timer) noexcept;

  /// Calls `function` whenever `fd` is ready (level-triggered). The Watch owns `fd`, which ought to
  /// be non-blocking; on failure it stays the caller's.
  /// Errors: those of epoll_ctl; EPERM for what epoll cannot watch, such as regular files.
  Result<Watch> watch(int fd, Interest interest, UniqueFunction<void(Ready)> function);

  /// Calls `function` with `signo` whenever that signal arrives; replaces the function of an
  /// earlier call, an empty one stops listening. The application must have blocked the signal
  /// beforehand, in every thread that could take it: the loop never changes a mask.
  /// Errors: Errc::signal_not_blocked when it is not blocked in this thread; Errc::signal_in_use
  /// when another loop or server of this process takes it; EINVAL; signalfd's.
  Result<void> on_signal(int signo, UniqueFunction<void(int)> function);

  /// The time of this turn; read from the clock once per epoll_wait.
  Clock::time_point now() const noexcept;
  /// Whether run() runs in this very thread.
  bool in_loop_thread() const noexcept;

  /// For tern's own rooms.
  net::LoopCore& core() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tern
