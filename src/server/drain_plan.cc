// A connection closes each time that `time left / connections left` has passed.
#include "server/drain_plan.h"

#include <algorithm>

namespace tern::server {
namespace {

// A caller that is later than this does not catch up.
constexpr DrainPlan::Duration usual_lateness = std::chrono::milliseconds(100);

}  // namespace

DrainPlan::Duration DrainPlan::pace(std::size_t open) const noexcept {
  const auto divisor = static_cast<Duration::rep>(std::max<std::size_t>(open, 1));
  return std::max((end_ - last_) / divisor, Duration(1));
}

std::size_t DrainPlan::due(TimePoint now, std::size_t open) noexcept {
  if (is_over(now)) return open;
  if (now <= last_ || open == 0) return 0;
  last_ = std::max(last_, now - std::max(pace(open), usual_lateness));
  const Duration step = pace(open);
  const auto count = (now - last_) / step;
  last_ += count * step;
  return std::min(static_cast<std::size_t>(count), open);
}

DrainPlan::TimePoint DrainPlan::next(std::size_t open) const noexcept {
  return open == 0 ? end_ : std::min(last_ + pace(open), end_);
}

std::optional<IdleOrder::Place> IdleOrder::take(
    const std::function<std::optional<Moment>(Place)>& active_at) {
  for (int moves = 0; !heap_.empty();) {
    const Entry first = heap_.top();
    heap_.pop();
    const std::optional<Moment> known = active_at(first.place);
    if (!known) continue;
    const Moment since = *known - base_;
    if (since == first.active_at || moves == max_moves) return first.place;
    heap_.push({since, first.place});
    ++moves;
  }
  return {};
}

}  // namespace tern::server
