#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::net {

/// An object that is called at a time. It must be cancelled before it is destroyed.
class Timer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Timers::fire() calls this once, at or after the armed time. The timer is then not armed, and
  /// may be armed again.
  virtual void on_timer(time_point now) noexcept = 0;

  bool armed() const noexcept { return place_ != nowhere; }
  /// The place in the heap of its Timers. Only Timers may set it.
  std::uint32_t place() const noexcept { return place_; }
  void set_place(std::uint32_t place) noexcept { place_ = place; }
  static constexpr std::uint32_t nowhere = 0xffff'ffff;

 protected:
  ~Timer() = default;

 private:
  std::uint32_t place_ = nowhere;
};

/// All timers of a loop, in a heap. Times are those of the steady clock; this class never reads the
/// clock. Thread: one.
class Timers {
 public:
  using time_point = Timer::time_point;

  /// Arms the timer for `when`, in place of an earlier armed time. time_point::max() cancels it.
  /// O(log n). Throws std::bad_alloc, but only if the timer was not armed and more timers are armed
  /// than ever before.
  void arm(Timer& timer, time_point when);
  /// Arms the timer for `when` unless it is armed for an earlier time. For deadlines that usually
  /// move later: a timer that fires too early checks its own deadline and arms itself again. Throws
  /// like arm().
  void arm_no_later(Timer& timer, time_point when);
  /// Disarms the timer. Does nothing if it is not armed. O(log n).
  void cancel(Timer& timer) noexcept;

  /// Returns the earliest armed time; time_point::max() if no timer is armed.
  time_point next_deadline() const noexcept {
    return heap_.empty() ? time_point::max() : heap_.front().when;
  }
  /// Calls all due timers in the order of their times. A timer that is armed meanwhile waits for
  /// the next call, even if its time is in the past.
  void fire(time_point now) noexcept;

 private:
  struct Entry {
    time_point when;
    Timer* timer;
  };
  void put(std::size_t place, Entry entry) noexcept;
  void sift_up(std::size_t place, Entry entry) noexcept;
  void sift_down(std::size_t place, Entry entry) noexcept;
  void settle(std::size_t place, Entry entry) noexcept;

  std::vector<Entry> heap_{};
  time_point not_before_ = time_point::min();  // during fire(): the earliest time for arm()
};

}  // namespace tern::net
