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

/// The options of a Loop.
struct LoopOptions {
  /// The loop polls for so long before it sleeps. Answers are quicker, and a core is busy. 0: it
  /// sleeps at once.
  std::chrono::nanoseconds spin{0};
  /// The number of posted functions that may wait. Beyond it post() returns false. An empty mailbox
  /// always takes one.
  std::size_t max_posted = 65'536;
  /// The number of bytes of messages sent through Handles that may wait. Beyond it Handle::send()
  /// returns false. An empty mailbox takes any one message. A SharedMessage that goes to many
  /// connections in a row counts once. Bytes that the loop is delivering at the moment do not
  /// count, so up to twice this number may exist.
  std::size_t max_posted_bytes = std::size_t{64} << 20;
  /// Called with what() of an exception that left a posted function, a timer, a watch or a signal
  /// handler. Such exceptions never end the loop. Empty: they are dropped.
  UniqueFunction<void(std::string_view)> on_exception{};
};

/// Identifies a timer of a Loop. A value is never used twice.
enum class TimerId : std::uint64_t { none = 0 };

/// The readiness that a Watch waits for.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

/// The readiness of a watched descriptor. After an error or a hang-up the descriptor is ready for
/// all that the Watch waits for, and the next read or write reports the reason.
struct Ready {
  bool readable = false;
  bool writable = false;
  bool hung_up = false;  ///< the other side is gone, or the descriptor has an error
};

/// A descriptor that a Loop watches. The Watch owns and closes it. Move-only. It may outlive its
/// loop. Thread: the loop's.
class Watch {
 public:
  /// Watches nothing.
  Watch() noexcept = default;
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  /// Stops watching and closes the descriptor. It may be destroyed inside its own callback, which
  /// then continues.
  ~Watch();

  /// Returns whether it holds a descriptor.
  explicit operator bool() const noexcept { return watched_ != nullptr; }
  /// The descriptor; -1 if there is none.
  int fd() const noexcept;
  /// Changes the readiness that it waits for. `none` keeps the descriptor, and the callback is not
  /// called. Errors: those of epoll_ctl.
  Result<void> set_interest(Interest interest);
  /// Does now what the destructor does.
  void close() noexcept;

  /// For Loop::watch.
  explicit Watch(net::WatchedDescriptor* watched) noexcept : watched_(watched) {}

 private:
  net::WatchedDescriptor* watched_ = nullptr;
};

/// An epoll loop. Its callbacks run in the thread that calls run(). It changes no signal mask and
/// no signal disposition, and every descriptor that it opens is close-on-exec. Thread: any for
/// post() and stop(); the loop's thread for all others, or any before run().
class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  using Duration = std::chrono::nanoseconds;

  /// Opens the descriptors that it needs. If that fails, run() returns the error.
  /// Throws std::bad_alloc.
  explicit Loop(LoopOptions options = {});
  /// Destroys the functions and timers that are left, without running them. run() must not be
  /// running. In a child of fork() it does nothing if run() runs in the parent.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs until stop(). It may be called again after it has returned. In a child of fork() it opens
  /// an epoll instance of its own and does not change the loop of the parent. Errors:
  /// Errc::already_running; those of epoll_create1, eventfd and epoll_wait.
  Result<void> run() noexcept;

  /// Makes run() return after the turn in progress. A call while run() does not run makes the next
  /// run() return at once.
  /// Thread: any; also from a signal handler.
  void stop() noexcept;

  /// Runs `function` on the loop, soon. Functions of one thread run in the order in which they were
  /// posted. A function that has not run when the Loop ends is destroyed, not run. Thread: any.
  /// Errors: false if too many wait (LoopOptions::max_posted) or the loop cannot run.
  bool post(UniqueFunction<void()> function) noexcept;

  /// Runs `function` once, after `delay`, never earlier.
  TimerId after(Duration delay, UniqueFunction<void()> function);
  /// Runs `function` every `interval` (at least 1 ns). Runs that were missed are left out.
  TimerId every(Duration interval, UniqueFunction<void()> function);
  /// Cancels a timer, also inside its own function. Returns false if there is no such timer any
  /// more.
  bool cancel(TimerId timer) noexcept;

  /// Calls `function` whenever `fd` is ready (level-triggered). The Watch owns `fd`, which should
  /// be non-blocking. After an error the caller still owns it. Errors: those of epoll_ctl; EPERM
  /// for what epoll cannot watch, such as regular files.
  Result<Watch> watch(int fd, Interest interest, UniqueFunction<void(Ready)> function);

  /// Calls `function` with `signo` whenever that signal arrives. It replaces the function of an
  /// earlier call. An empty function ends the handling of the signal. The application must block
  /// the signal before, in every thread that could take it, because the loop never changes a mask.
  /// Errors: Errc::signal_not_blocked when it is not blocked in this thread; Errc::signal_in_use
  /// when another loop or server of this process takes it; EINVAL; signalfd's.
  Result<void> on_signal(int signo, UniqueFunction<void(int)> function);

  /// The time of this turn; read from the clock once per epoll_wait.
  Clock::time_point now() const noexcept;
  /// Returns whether run() runs in this thread.
  bool in_loop_thread() const noexcept;

  /// For tern's own rooms.
  net::LoopCore& core() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tern
