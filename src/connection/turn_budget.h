// How much one connection may do in a turn of its loop, because the others wait meanwhile.
#pragma once

#include "tern/engine.h"

#include <chrono>
#include <cstddef>

namespace tern::connection {

/// The work of one connection in one turn, in units: an event counts one and one more for each 4
/// KiB of its payload, a step of inflating 128, a request 128, a read beyond the first one 128. The
/// turn of the connection ends after 1 024 units, or after half a millisecond, or when the whole
/// turn of the loop has taken two milliseconds. The clock is read every 16 units, so that a turn
/// with a few small messages never reads it.
class TurnBudget {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr unsigned max_units = 1024;
  static constexpr std::chrono::microseconds max_time{500};
  static constexpr std::chrono::milliseconds max_loop_time{2};

  /// `turn_began`: when the loop began its turn.
  explicit TurnBudget(Clock::time_point turn_began) noexcept : turn_began_(turn_began) {}

  /// The connection handled this event. Returns whether its turn ends.
  bool spend(const Event& event) noexcept {
    switch (event.kind()) {
      case Event::Kind::working:
      case Event::Kind::request:
        return spend(128);
      case Event::Kind::message:
        return spend(1 + static_cast<unsigned>(event.message().size() / 4096));
      default:
        return spend(1);
    }
  }
  /// The same for a further read in the same turn.
  bool spend_read() noexcept { return spend(128); }
  bool spent() const noexcept { return spent_; }

 private:
  static constexpr unsigned units_between_looks = 16;

  bool spend(unsigned units) noexcept {
    units_ += units;
    if (units_ >= next_look_) [[unlikely]]
      look();
    return spent_;
  }
  [[gnu::cold]] void look() noexcept {
    const Clock::time_point now = Clock::now();
    if (began_ == Clock::time_point()) began_ = now;
    spent_ = units_ >= max_units || now - began_ >= max_time || now - turn_began_ >= max_loop_time;
    next_look_ = units_ + units_between_looks;
  }

  Clock::time_point turn_began_;
  Clock::time_point began_{};  // the first look at the clock
  unsigned units_ = 0;
  unsigned next_look_ = units_between_looks / 2;
  bool spent_ = false;
};

}  // namespace tern::connection
