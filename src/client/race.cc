// An attempt begins 250 ms after the one before it, or at once if all that were begun have failed.
#include "client/race.h"

namespace tern::client {

std::optional<std::size_t> Race::start_next(TimePoint now) noexcept {
  if (started_ == entries_.size() || (failed_ < started_ && now < next_start_)) return {};
  next_start_ = now + attempt_delay;
  return started_++;
}

void Race::fail(std::size_t attempt, std::error_code why) noexcept {
  entries_[attempt].failure = why;
  ++failed_;
  last_failure_ = attempt;
}

Race::TimePoint Race::next_start() const noexcept {
  if (started_ == entries_.size()) return TimePoint::max();
  return failed_ == started_ ? TimePoint() : next_start_;
}

// The last failure stands at the end, because its text is that of the whole error.
Error Race::error(std::optional<std::error_code> why) const {
  std::string stage;
  const auto add = [&](std::size_t attempt, bool with_failure) {
    const Entry& entry = entries_[attempt];
    stage += (stage.empty() ? "connect " : ", ") + entry.address.to_string();
    if (entry.failure && with_failure) stage += " (" + entry.failure.message() + ")";
  };
  for (std::size_t i = 0; i < started_; ++i) {
    if (why || i != last_failure_) add(i, true);
  }
  if (!why) add(last_failure_, false);
  return Error(why.value_or(entries_[last_failure_].failure), stage);
}

}  // namespace tern::client
