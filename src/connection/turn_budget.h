// Bounds the work of one connection in a turn of its loop, because the others wait meanwhile.
#pragma once

#include "net/loop_core.h"

#include <chrono>

namespace tern::connection {

/// The work of one connection in one turn, in units. An event is one unit. Work that is larger than
/// a small message costs more units. The turn of the connection ends after 1 024 units, or after
/// half a millisecond, or when the loop's turn has taken two milliseconds. The clock is read every
/// 16 units, so that a turn with a few small messages never reads it.
class TurnBudget {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr int max_units = 1024;
  static constexpr std::chrono::microseconds max_time{500};
  static constexpr std::chrono::milliseconds max_loop_time{2};

  // Units in addition to the one of the event.
  static constexpr int inflating = 127;  ///< a call of Engine::next() that did as much as it may
  static constexpr int request = 11;     ///< the application may take any time for it
  static constexpr int pulling = 15;     ///< a part of a body, which the application may make
  static constexpr int reading = 127;    ///< each read after the first one

  explicit TurnBudget(const net::LoopCore& loop) noexcept : loop_(loop) {}

  /// Counts an event that was handled. Returns whether the turn of the connection ends.
  bool count() noexcept { return --left_ <= 0 && look(); }
  /// Adds units of the last event. The next count() checks them.
  void charge(int units) noexcept { left_ -= units; }
  bool spent() const noexcept { return spent_; }

 private:
  static constexpr int units_between_looks = 16;

  [[gnu::cold]] bool look() noexcept {
    const Clock::time_point now = Clock::now();
    if (units_ == 0) began_ = now;
    units_ += units_between_looks - left_;
    left_ = units_between_looks;
    spent_ = units_ >= max_units || now - began_ >= max_time || now - loop_.now() >= max_loop_time;
    return spent_;
  }

  const net::LoopCore& loop_;
  Clock::time_point began_;         // when the clock was first read
  int left_ = units_between_looks;  // units until the clock is read again
  int units_ = 0;
  bool spent_ = false;
};

}  // namespace tern::connection
