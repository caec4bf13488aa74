// Counts the publications that a broker refuses. The first word of the reason is its kind, and a
// kind has one line in the log for each period.
#include "server/refusals.h"

#include <algorithm>

namespace tern::server {

std::string Refusals::add(std::string_view why, TimePoint now) {
  const std::lock_guard lock(mutex_);
  ++total_;
  last_ = why;
  last_at_ = now;
  if (!is_due(why, now)) return {};
  return "refuses publications (" + std::to_string(total_) + " so far): " + last_;
}

bool Refusals::is_due(std::string_view why, TimePoint now) {
  const std::string_view word = why.substr(0, why.find(' '));
  auto found = std::ranges::find(kinds_, word, &Kind::word);
  if (found == kinds_.end() && kinds_.size() == max_kinds) --found;
  if (found == kinds_.end()) {
    kinds_.push_back({std::string(word), now + period});
    return true;
  }
  if (now < found->next_line) return false;
  found->next_line = now + period;
  return true;
}

std::uint64_t Refusals::total() const noexcept {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::string Refusals::last(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  return now < last_at_ + period ? last_ : std::string();
}

}  // namespace tern::server
