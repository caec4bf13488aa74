// Implements a time limit that moves later while the peer takes bytes. It works like a bucket of
// time: bytes fill it, the clock empties it, and it never holds more than the limit. So it checks
// the average rate without a record of past events.
#include "tern/peer_progress.h"

#include "base/later.h"

#include <algorithm>

namespace tern::base {
namespace {

constexpr std::uint32_t all_of_them = (std::uint32_t{1} << 26) - 1;
constexpr int looks_in_a_limit = 8;
constexpr std::uint32_t most_postponements = 3;

}  // namespace

Patience::TimePoint Patience::next_look(Duration limit, bool reports_delivery) const noexcept {
  const bool nothing_moves_it = known_ && ahead_ == 0;
  if (limit == Duration::max() || !reports_delivery || nothing_moves_it ||
      looks_ == looks_in_a_limit - 1) {
    return later(since_, limit);
  }
  return later(since_, limit / looks_in_a_limit * (static_cast<int>(looks_) + 1));
}

void Patience::credit(TimePoint now, std::size_t bytes, std::size_t rate) noexcept {
  if (bytes == 0 || now <= since_) return;
  const auto passed = static_cast<std::uint64_t>((now - since_).count());
  const std::uint64_t most = std::min<std::uint64_t>(bytes, UINT32_MAX);  // the product fits
  const std::uint64_t gain = rate == 0 ? passed : most * 1'000'000'000u / rate;
  since_ += Duration(static_cast<Duration::rep>(std::min(passed, gain)));
  if (gain >= passed) looks_ = postponed_ = 0;
}

void Patience::look(TimePoint now, PeerProgress delivery, Duration limit, std::size_t rate,
                    Counts counts) noexcept {
  const bool all = counts == Counts::all;
  // The first look cannot know how many bytes the peer took before. It counts the waiting bytes as
  // taken, because some of them may have moved just now.
  std::uint32_t taken = delivery.waiting;
  if (known_) {
    taken = delivery.acknowledged - acknowledged_;
    if (taken > INT32_MAX) taken = 0;  // a FIN counts as a byte that was never written
  }
  if (!known_ || all) {
    ahead_ = (all ? all_of_them : std::min(delivery.waiting, all_of_them)) & all_of_them;
  } else {
    taken = std::min<std::uint32_t>(taken, ahead_);
    ahead_ = (ahead_ - taken) & all_of_them;
  }
  known_ = 1;
  acknowledged_ = delivery.acknowledged;
  credit(now, taken, rate);
  const Duration step = limit / looks_in_a_limit;
  const Duration::rep passed = step.count() > 0 ? (now - since_) / step : looks_in_a_limit;
  looks_ = static_cast<std::uint32_t>(std::min<Duration::rep>(passed, looks_in_a_limit - 1)) & 7u;
}

bool Patience::is_over(TimePoint now, Duration limit) const noexcept {
  return limit != Duration::max() && now >= later(since_, limit);
}

bool Patience::postpone(TimePoint now, TimePoint end, Duration limit) noexcept {
  if (postponed_ == most_postponements) return false;
  postponed_ = (postponed_ + 1) & most_postponements;
  const TimePoint ends = later(since_, limit);
  if (ends >= end) return true;
  since_ = std::min(now, later(since_, end - ends));
  looks_ = 0;
  return true;
}

}  // namespace tern::base
