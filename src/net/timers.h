#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::net {

/// Something that wants to be called at a time. Must be cancelled before it is destroyed.
class Timer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Called once, at or after the time it was armed for; it is not armed any more and may be armed
  /// anew.
  virtual void on_timer(time_point now) noexcept = 0;

  bool armed() const noexcept { return place_ != nowhere; }
  /// Where it stands in the heap of its Timers, which alone may set it.
  std::uint32_t place() const noexcept { return place_; }
  void set_place(std::uint32_t place) noexcept { place_ = place; }
  static constexpr std::uint32_t nowhere = 0xffff'ffff;

 protected:
  ~Timer() = default;

 private:
  std::uint32_t place_ = nowhere;
};

/// All timers of a loop, in a heap. The clock is the monotonic one and is never read here. Thread:
/// one.
class Timers {
 public:
  using time_point = Timer::time_point;

  /// Arms for `when`, instead of the time it was armed for, if any; time_point::max() cancels.
  /// O(log n). Throws std::bad_alloc, and only when the timer was not armed and more timers are
  /// armed than ever before.
  void arm(Timer& timer, time_point when);
  /// Arms for `when` unless the timer will be called earlier anyway: for deadlines that mostly move
  /// away. A timer that then comes early looks at its own deadline and arms again. Throws as arm()
  /// does.
  void arm_no_later(Timer& timer, time_point when);
  /// Disarms; does nothing when it is not armed. O(log n).
  void cancel(Timer& timer) noexcept;

  /// The earliest time armed for; time_point::max() when there is none.
  time_point next_deadline() const noexcept {
    return heap_.empty() ? time_point::max() : heap_.front().when;
  }
  /// Calls, in the order of their times, all timers that are due. What they arm waits for the next
  /// call, whatever its time.
  void fire(time_point now) noexcept;
  std::size_t size() const noexcept { return heap_.size(); }

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
  time_point not_before_ =
      time_point::min();  // while firing: what is armed is not due in the same pass
};

}  // namespace tern::net
