// The lock of a topic is what gives it one order for all workers: a publication takes its offset
// and its places in the inboxes under the lock, and a subscription reads the offset from which it
// begins. So a subscriber misses nothing and receives nothing twice, without a common lock of the
// workers. No code of the application runs under the lock.
//
// The order of locks is: topic, then inbox or table.
#include "topics/topic_state.h"

#include "topics/table.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::topics {

TopicState::TopicState(Table& table, std::string_view name, const TopicOptions& options,
                       std::uint64_t epoch, std::size_t workers)
    : table_(table), options_(options), name_(name), epoch_(epoch), seats_(workers) {}

// ---- publish

// Reserves room with all seats or with none.
bool TopicState::reserve(std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (seats_[i] == nullptr || seats_[i]->inbox.reserve(bytes)) continue;
    cancel(i, bytes);
    return false;
  }
  return true;
}

void TopicState::cancel(std::size_t seats, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < seats; ++i) {
    if (seats_[i] != nullptr) seats_[i]->inbox.cancel(bytes);
  }
}

// Allocates everything, so that nothing fails later.
bool TopicState::prepare(const Outgoing& outgoing, std::size_t count,
                         ArrivalList& arrivals) noexcept {
  try {
    for (std::size_t i = 0; i < count; ++i) arrivals.push_back(new Arrival(outgoing.message));
    history_.prepare(options_);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::optional<PublishStatus> TopicState::publish(const Outgoing& outgoing,
                                                 std::optional<Position> expected) noexcept {
  const std::size_t bytes = outgoing.message.message().size();
  const auto now = std::chrono::steady_clock::now();
  ArrivalList arrivals;
  std::ptrdiff_t grown = 0;
  std::uint32_t workers = 0;
  Position position;
  {
    const std::lock_guard lock(mutex_);
    if (expected && *expected != Position{epoch_, offset_ + 1}) return std::nullopt;
    for (const Seat* seat : seats_) workers += seat != nullptr ? 1 : 0;
    if (!reserve(bytes)) return PublishStatus::full;
    if (!prepare(outgoing, workers, arrivals)) {
      cancel(seats_.size(), bytes);
      return PublishStatus::full;
    }
    position = {epoch_, ++offset_};
    if (options_.history > 0) {
      const std::size_t before = history_.bytes();
      history_.push({outgoing.message, offset_, now, outgoing.compress}, options_);
      grown = static_cast<std::ptrdiff_t>(history_.bytes()) - static_cast<std::ptrdiff_t>(before);
    }
    for (const Seat* seat : seats_) {
      if (seat == nullptr) continue;
      Arrival* const arrival = arrivals.pop_front();
      retain();
      arrival->topic = TopicRef(this);
      arrival->offset = offset_;
      arrival->published = now;
      arrival->compress = outgoing.compress;
      if (outgoing.source.inbox == &seat->inbox) arrival->source = outgoing.source.place;
      seat->inbox.push(arrival);
    }
  }
  if (options_.history > 0) table_.history_grew(*this, grown, now);
  return PublishStatus(workers > 0 ? PublishStatus::queued : PublishStatus::nobody, workers,
                       position);
}

std::optional<PublishStatus> TopicState::publish_unheard() noexcept {
  if (options_.history > 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (subscribers_.load(std::memory_order_relaxed) > 0) return std::nullopt;
  return PublishStatus(PublishStatus::nobody, 0, {epoch_, ++offset_});
}

Position TopicState::position() const noexcept {
  const std::lock_guard lock(mutex_);
  return {epoch_, offset_};
}

// ---- subscribe

std::vector<Kept> TopicState::kept_from(std::uint64_t offset) const {
  std::vector<Kept> kept;
  for (std::size_t i = 0; i < history_.size(); ++i) {
    if (history_[i].offset >= offset) kept.push_back(history_[i]);
  }
  return kept;
}

Beginning TopicState::find_beginning(From from) const {
  Beginning beginning{.subscribed = {.epoch = epoch_, .offset = offset_}};
  Subscribed& subscribed = beginning.subscribed;
  const std::uint64_t first_kept = offset_ + 1 - history_.size();
  switch (from.kind()) {
    case From::Kind::now:
      break;
    case From::Kind::last: {
      const std::uint64_t wanted = std::min(from.count(), offset_);
      const std::uint64_t first = std::max(offset_ + 1 - wanted, first_kept);
      beginning.kept = kept_from(first);
      subscribed.missed = wanted - beginning.kept.size();
      break;
    }
    case From::Kind::position: {
      const auto [epoch, offset] = from.position();
      const bool known = epoch == epoch_ && offset <= offset_;
      subscribed.missed = known ? offset_ - offset : offset_;
      if (!known) {
        subscribed.recovered = false;
        return beginning;
      }
      if (offset + 1 >= first_kept) {
        beginning.kept = kept_from(offset + 1);
        subscribed.missed = 0;
      }
      break;
    }
  }
  subscribed.recovered = subscribed.missed == 0;
  return beginning;
}

// The caller holds the lock.
Beginning TopicState::begin(From from) {
  if (from.kind() != From::Kind::now) {
    const std::size_t before = history_.bytes();
    history_.drop_old(std::chrono::steady_clock::now(), options_);
    table_.history_shrank(before - history_.bytes());
  }
  return find_beginning(from);
}

Beginning TopicState::begin_again(From from) {
  const std::lock_guard lock(mutex_);
  return begin(from);
}

Beginning TopicState::join(std::size_t worker, Seat& seat, From from) {
  const std::lock_guard lock(mutex_);
  Beginning beginning = begin(from);
  seats_[worker] = &seat;
  if (subscribers_.fetch_add(1, std::memory_order_relaxed) == 0) table_.changed(*this);
  return beginning;
}

void TopicState::leave(std::size_t worker, bool seat_is_empty) noexcept {
  const std::lock_guard lock(mutex_);
  if (seat_is_empty) seats_[worker] = nullptr;
  if (subscribers_.fetch_sub(1, std::memory_order_relaxed) == 1) table_.changed(*this);
}

// ---- history and life

std::size_t TopicState::drop_history() noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = history_.bytes();
  history_.clear();
  return bytes;
}

bool TopicState::release_unless_last() noexcept {
  std::uint32_t count = references_.load(std::memory_order_relaxed);
  while (count > 1) {
    if (references_.compare_exchange_weak(count, count - 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

TopicRef::TopicRef(const TopicRef& other) noexcept : state_(other.state_) {
  if (state_ != nullptr) state_->retain();
}

TopicRef::~TopicRef() {
  if (state_ != nullptr) state_->table().release(*state_);
}

}  // namespace tern::topics
