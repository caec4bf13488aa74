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
    : table_(table),
      options_(options),
      name_(name),
      formatting_(options.format ? std::make_unique<FormatQueue>() : nullptr),
      epoch_(epoch),
      places_(workers) {}

// ---- publish

// Reserves room with all seats or with none.
bool TopicState::reserve(std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    auto& [seat, share] = places_[i];
    if (seat == nullptr || seat->inbox.reserve(share, bytes)) continue;
    cancel(i, bytes);
    return false;
  }
  return true;
}

void TopicState::cancel(std::size_t places, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < places; ++i) {
    auto& [seat, share] = places_[i];
    if (seat != nullptr) seat->inbox.cancel(share, bytes);
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
    for (const Place& place : places_) workers += place.seat != nullptr ? 1 : 0;
    if (!reserve(bytes)) return PublishStatus::full;
    if (!prepare(outgoing, workers, arrivals)) {
      cancel(places_.size(), bytes);
      return PublishStatus::full;
    }
    position = {epoch_, ++offset_};
    if (options_.history > 0) {
      const std::size_t before = history_.bytes();
      history_.push({outgoing.message, offset_, now, outgoing.compress}, options_);
      grown = static_cast<std::ptrdiff_t>(history_.bytes()) - static_cast<std::ptrdiff_t>(before);
    }
    for (const auto& [seat, share] : places_) {
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
  if (options_.history > 0) table_.history_grew(*this, grown, now, position.offset);
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

// The publications of a history have consecutive offsets. The caller holds the lock.
std::vector<Kept> TopicState::read(std::uint64_t first, std::uint64_t last,
                                   std::size_t room) const {
  std::vector<Kept> found;
  std::size_t bytes = 0;
  for (std::uint64_t offset = std::max(first, first_kept()); offset <= last; ++offset) {
    const Kept& kept = history_[offset - first_kept()];
    const std::size_t more = History::weight_of(kept.message);
    if (room == 0 || (bytes > 0 && more > room - std::min(room, bytes))) break;
    found.push_back(kept);
    bytes += more;
  }
  return found;
}

std::vector<Kept> TopicState::read_history(std::uint64_t first, std::uint64_t last,
                                           std::size_t room) const {
  const std::lock_guard lock(mutex_);
  return read(first, std::min(last, offset_), room);
}

void TopicState::keep_from(std::uint64_t first, std::size_t room, Beginning& beginning) const {
  beginning.kept = read(first, offset_, room);
  const std::uint64_t next = first + beginning.kept.size();
  if (next <= offset_) beginning.rest = next;
}

Beginning TopicState::find_beginning(From from, std::size_t room) const {
  Beginning beginning{.subscribed = {.epoch = epoch_, .offset = offset_}};
  Subscribed& subscribed = beginning.subscribed;
  switch (from.kind()) {
    case From::Kind::now:
      break;
    case From::Kind::last: {
      const std::uint64_t wanted = std::min(from.count(), offset_);
      const std::uint64_t first = std::max(offset_ + 1 - wanted, first_kept());
      keep_from(first, room, beginning);
      subscribed.missed = wanted - (offset_ + 1 - first);
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
      if (offset + 1 >= first_kept()) {
        keep_from(offset + 1, room, beginning);
        subscribed.missed = 0;
      }
      break;
    }
  }
  subscribed.recovered = subscribed.missed == 0;
  return beginning;
}

// The caller holds the lock.
Beginning TopicState::begin(From from, std::size_t room) {
  if (from.kind() != From::Kind::now) {
    const std::size_t before = history_.bytes();
    history_.drop_old(std::chrono::steady_clock::now(), options_);
    table_.history_shrank(before - history_.bytes());
  }
  return find_beginning(from, room);
}

Beginning TopicState::begin_again(From from, std::size_t room) {
  const std::lock_guard lock(mutex_);
  return begin(from, room);
}

Beginning TopicState::join(std::size_t worker, Seat& seat, From from, std::size_t room) {
  const std::lock_guard lock(mutex_);
  Beginning beginning = begin(from, room);
  places_[worker].seat = &seat;
  if (subscribers_.fetch_add(1, std::memory_order_relaxed) == 0) table_.changed(*this);
  return beginning;
}

void TopicState::leave(std::size_t worker, bool seat_is_empty) noexcept {
  const std::lock_guard lock(mutex_);
  if (seat_is_empty) places_[worker].seat = nullptr;
  if (subscribers_.fetch_sub(1, std::memory_order_relaxed) == 1) table_.changed(*this);
}

// ---- history and life

// A publication that came after the table chose this topic stays.
std::size_t TopicState::drop_history(std::uint64_t last) noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = history_.bytes();
  history_.drop_up_to(last);
  return bytes - history_.bytes();
}

void TopicState::begin_epoch(std::uint64_t epoch) noexcept {
  const std::lock_guard lock(mutex_);
  epoch_ = epoch;
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
