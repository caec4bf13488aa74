// The time that a peer takes to answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace tern {

/// The time from a ping to its pong, in steps of 125 ns. More than 8 minutes count as 8 minutes and
/// 56 seconds.
struct RoundTrip {
  std::chrono::nanoseconds last{};  ///< of the ping that was answered last
  /// The average of all, in which each new time counts an eighth: the SRTT of RFC 6298 §2.
  std::chrono::nanoseconds smoothed{};

  bool operator==(const RoundTrip&) const = default;
};

namespace base {

/// Measures round trips, one ping at a time. It is small, because each idle connection has one.
class RoundTripMeter {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Begins to measure a ping that was just queued. Forgets earlier pings. Returns its number.
  std::uint16_t ask() noexcept {
    state_ = State::queued;
    number_ = (number_ + 1) & 0xFFFF;
    return number();
  }
  /// Returns the number of the newest ping.
  std::uint16_t number() const noexcept { return static_cast<std::uint16_t>(number_); }
  /// Returns whether the newest ping is not written yet.
  bool is_queued() const noexcept { return state_ == State::queued; }
  /// Returns whether the newest ping is written, not answered and not forgotten.
  bool is_written() const noexcept { return state_ == State::written; }
  /// Notes that the newest ping was written.
  void written(TimePoint now) noexcept;
  /// Forgets the newest ping: its pong changes nothing.
  void forget() noexcept { state_ = State::none; }
  /// Notes that the pong of the newest ping came.
  void answered(TimePoint now) noexcept;
  /// Returns the times. There are none before the first pong.
  std::optional<RoundTrip> read() const noexcept;

 private:
  enum class State : std::uint64_t { none, queued, written };

  // Times are in steps of 125 ns.
  std::uint32_t last_ = 0;
  std::uint32_t smoothed_ = 0;
  std::uint64_t written_ : 45 = 0;  // modulo 50 days
  State state_ : 2 = State::none;
  std::uint64_t measured_ : 1 = 0;
  std::uint64_t number_ : 16 = 0;
};

static_assert(sizeof(RoundTripMeter) == 16);

}  // namespace base
}  // namespace tern
