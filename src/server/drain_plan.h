// The rules of a drain: how many connections close at what time, and which ones. No I/O and no
// clock.
#pragma once

#include "connection/registry.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

namespace tern::server {

/// Spreads the ends of connections evenly over a time. The pace follows the number of connections
/// that are left: if some end by themselves, the others end later, and the last one at the end of
/// the time.
class DrainPlan {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  DrainPlan(TimePoint begin, TimePoint end) noexcept : last_(begin), end_(end) {}

  /// Returns how many of `open` connections close now. `now` may not go back. If the caller comes
  /// late, the connections that it missed are spread over the time that is left: they do not all
  /// close now.
  std::size_t due(TimePoint now, std::size_t open) noexcept;
  /// Returns when the next one of `open` connections closes.
  TimePoint next(std::size_t open) const noexcept;
  /// Whether the time is over: then all that are left close.
  bool is_over(TimePoint now) const noexcept { return now >= end_; }
  TimePoint end() const noexcept { return end_; }

 private:
  Duration pace(std::size_t open) const noexcept;

  TimePoint last_;  // the moment at which the last connection was to close
  TimePoint end_;
};

/// Gives connections in the order of their silence, the longest first. A connection that became
/// active in the meantime moves back.
class IdleOrder {
 public:
  using Place = connection::Registry::Place;
  /// A moment in units that may overflow; two moments are at most half of the range apart.
  using Moment = std::uint32_t;

  explicit IdleOrder(Moment now) noexcept : base_(now - half) {}

  /// Throws std::bad_alloc.
  void add(Place place, Moment active_at) { heap_.push({active_at - base_, place}); }
  /// The number of connections that were added and not yet taken.
  std::size_t size() const noexcept { return heap_.size(); }
  /// Takes the connection with the longest silence. `active_at` returns when a connection was
  /// active last, or nothing if it has ended. Throws std::bad_alloc.
  std::optional<Place> take(const std::function<std::optional<Moment>(Place)>& active_at);

 private:
  static constexpr Moment half = Moment{1} << 31;
  static constexpr int max_moves = 256;  // of one call, so that its work is bounded

  struct Entry {
    Moment active_at;  // since base_
    Place place;
    bool operator<(const Entry& other) const noexcept { return active_at > other.active_at; }
  };

  Moment base_;
  std::priority_queue<Entry> heap_{};
};

}  // namespace tern::server
