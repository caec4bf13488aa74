// The part of TopicState that concerns an outlet: publications that other processes number, gaps,
// and the history of a broker.
//
// A topic counts its publications within the process without holes, whatever the broker does. Only
// the difference between these numbers and those of positions changes. So subscribers, pending
// publications and the history never see a jump.
#include "topics/table.h"
#include "topics/topic_state.h"

#include <algorithm>
#include <utility>

namespace tern::topics {
namespace {

// There is room below it for the history of a broker.
constexpr std::uint64_t first_offset = std::uint64_t{1} << 40;

}  // namespace

void TopicState::set_outlet(Outlet& outlet) {
  const std::lock_guard lock(mutex_);
  if (!bridged_) bridged_ = std::make_unique<Bridged>(*this, outlet);
  if (offset_ == 0) offset_ = base_ = first_offset;
}

std::optional<Position> TopicState::numbered() const noexcept {
  const std::lock_guard lock(mutex_);
  if (!bridged_ || !bridged_->numbered) return {};
  return position_at(offset_);
}

// The caller holds the lock.
Placed TopicState::check_number(Position at) const noexcept {
  if (!bridged_->numbered) return Placed::published;
  if (at.epoch != epoch_) return Placed::hole;
  const std::uint64_t newest = offset_ - base_;
  if (at.offset <= newest) return bridged_->before_first ? Placed::published : Placed::repeated;
  return at.offset == newest + 1 ? Placed::published : Placed::hole;
}

// The newest publication within the process, whatever it was, has this position from now on.
// Returns the bytes that the history lost. The caller holds the lock.
std::size_t TopicState::number_from(Position newest) noexcept {
  const std::size_t before = history_.bytes();
  history_.drop_up_to(offset_);
  epoch_ = newest.epoch;
  base_ = offset_ - newest.offset;
  bridged_->floor = offset_;
  bridged_->numbered = true;
  bridged_->before_first = false;
  bridged_->complete = false;
  return before - history_.bytes();
}

// A bridge that breaks the rule of Bridge::history() lets the answer overtake notifications of
// publications that it counts. So the topic accepts one that is not newer as its first one.
void TopicState::begin_numbers(Position newest, bool sure) noexcept {
  std::size_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!bridged_ || !bridged_->wanted || bridged_->numbered) return;
    dropped = number_from(newest);
    bridged_->before_first = !sure;
    bridged_->complete = newest.offset == 0;
  }
  table_.history_shrank(dropped);
}

Placed TopicState::place(const Outgoing& outgoing, std::optional<Position> at) noexcept {
  Given given;
  std::size_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!bridged_ || !bridged_->wanted) return Placed::unwanted;
    if (at) {
      if (const Placed checked = check_number(*at); checked != Placed::published) return checked;
      const bool is_first = !bridged_->numbered || at->offset <= offset_ - base_;
      if (is_first) dropped = number_from({at->epoch, at->offset - 1});
      bridged_->before_first = false;
    }
    if (!give(outgoing, given)) return Placed::full;
  }
  table_.history_shrank(dropped);
  count_history(given);
  return Placed::published;
}

void TopicState::begin_gap(std::uint64_t epoch) noexcept {
  const std::lock_guard lock(mutex_);
  epoch_ = epoch;
  if (!bridged_) return;
  bridged_->numbered = false;
  bridged_->before_first = false;
  bridged_->complete = false;
  bridged_->floor = offset_;
  bridged_->gaps.fetch_add(1, std::memory_order_relaxed);
}

bool TopicState::end_interest(std::uint64_t epoch) noexcept {
  std::size_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!bridged_ || !bridged_->wanted) return true;
    if (subscribers_.load(std::memory_order_relaxed) > 0) return true;
    if (!bridged_->outlet.end_interest(*this)) return false;
    if (bridged_->wanted) return true;  // it lingers again
    const std::size_t before = history_.bytes();
    history_.drop_up_to(offset_);
    dropped = before - history_.bytes();
    epoch_ = epoch;
    base_ = offset_;
    bridged_->numbered = false;
    bridged_->before_first = false;
    bridged_->complete = false;
    bridged_->floor = offset_;
  }
  table_.history_shrank(dropped);
  return true;
}

Beginning TopicState::begin_late(From from, std::uint64_t last, bool final) noexcept {
  const std::lock_guard lock(mutex_);
  return find_beginning(from, 0, last, final);
}

// A new ring is made, because a ring grows only at its end. The newest publications stay.
void TopicState::load(std::span<const Loaded> publications, Position last, bool complete) {
  if (options_.history == 0) return;
  std::ptrdiff_t grown = 0;
  const auto now = std::chrono::steady_clock::now();
  std::uint64_t newest = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!bridged_ || !bridged_->wanted) return;
    History loaded;
    std::uint64_t end = first_kept();  // the first that is not taken from the broker
    if (!bridged_->numbered) {
      end = offset_ + 1;
    } else if (last.epoch != epoch_ || last.offset + 1 < end - base_) {
      bridged_->complete = true;  // they do not reach the own ones
      return;
    }
    const std::uint64_t base = bridged_->numbered ? base_ : offset_ - last.offset;
    std::uint64_t first = end;
    for (const Loaded& each : publications) {
      const std::uint64_t offset = each.offset + base;
      if (each.offset == 0 || each.offset > last.offset || offset >= end) continue;
      first = std::min(first, offset);
      loaded.prepare(options_);
      loaded.push({each.message, offset, now, true}, options_);
    }
    if (bridged_->numbered) {
      for (std::size_t i = 0; i < history_.size(); ++i) {
        loaded.prepare(options_);
        loaded.push(history_[i], options_);
      }
      bridged_->floor = std::min(bridged_->floor, first - 1);
    } else {
      epoch_ = last.epoch;
      base_ = base;
      bridged_->floor = first - 1;
      bridged_->numbered = true;
      bridged_->before_first = true;  // see begin_numbers()
    }
    bridged_->complete = complete;
    grown =
        static_cast<std::ptrdiff_t>(loaded.bytes()) - static_cast<std::ptrdiff_t>(history_.bytes());
    std::swap(history_, loaded);
    newest = offset_;
  }
  table_.history_grew(*this, grown, now, newest);
}

}  // namespace tern::topics
