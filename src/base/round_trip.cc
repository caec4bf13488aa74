// Times are kept in eighths of a microsecond: so small numbers of bits are enough, and the rounding
// of the average does not matter.
#include "tern/round_trip.h"

#include <algorithm>
#include <ratio>

namespace tern::base {
namespace {

using Step = std::chrono::duration<std::int64_t, std::ratio<1, 8'000'000>>;

constexpr std::uint64_t written_mask = (std::uint64_t{1} << 45) - 1;

std::uint64_t steps(RoundTripMeter::TimePoint now) noexcept {
  return static_cast<std::uint64_t>(std::chrono::floor<Step>(now.time_since_epoch()).count());
}

}  // namespace

void RoundTripMeter::written(TimePoint now) noexcept {
  state_ = State::written;
  written_ = steps(now) & written_mask;
}

void RoundTripMeter::answered(TimePoint now) noexcept {
  const std::uint64_t passed = (steps(now) - written_) & written_mask;
  last_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(passed, UINT32_MAX));
  const std::uint64_t eighths = std::uint64_t{7} * smoothed_ + last_;
  smoothed_ = measured_ != 0 ? static_cast<std::uint32_t>((eighths + 4) / 8) : last_;
  measured_ = 1;
  state_ = State::none;
}

std::optional<RoundTrip> RoundTripMeter::read() const noexcept {
  if (measured_ == 0) return {};
  return RoundTrip{Step(last_), Step(smoothed_)};
}

}  // namespace tern::base
