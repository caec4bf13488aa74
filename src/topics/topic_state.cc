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

// The caller holds the lock. Returns false, and does nothing, if there is no room or no memory.
bool TopicState::give(const Outgoing& outgoing, Given& given) noexcept {
  const std::size_t bytes = outgoing.message.message().size();
  ArrivalList arrivals;
  for (const Place& place : places_) given.workers += place.seat != nullptr ? 1 : 0;
  if (!reserve(bytes)) return false;
  if (!prepare(outgoing, given.workers, arrivals)) {
    cancel(places_.size(), bytes);
    return false;
  }
  given.offset = ++offset_;
  if (options_.history > 0) {
    const std::size_t before = history_.bytes();
    history_.push({outgoing.message, offset_, given.now, outgoing.compress}, options_);
    given.grown =
        static_cast<std::ptrdiff_t>(history_.bytes()) - static_cast<std::ptrdiff_t>(before);
  }
  for (const auto& [seat, share] : places_) {
    if (seat == nullptr) continue;
    Arrival* const arrival = arrivals.pop_front();
    retain();
    arrival->topic = TopicRef(this);
    arrival->offset = offset_;
    arrival->published = given.now;
    arrival->compress = outgoing.compress;
    if (outgoing.source.inbox == &seat->inbox) arrival->source = outgoing.source.place;
    seat->inbox.push(arrival);
  }
  return true;
}

void TopicState::count_history(const Given& given) noexcept {
  if (options_.history > 0) table_.history_grew(*this, given.grown, given.now, given.offset);
}

std::optional<PublishStatus> TopicState::publish(const Outgoing& outgoing,
                                                 std::optional<Position> expected) noexcept {
  Given given;
  Position position;
  {
    const std::lock_guard lock(mutex_);
    if (expected && *expected != position_at(offset_ + 1)) return std::nullopt;
    if (!give(outgoing, given)) return PublishStatus::full;
    position = position_at(offset_);
  }
  count_history(given);
  return PublishStatus(given.workers > 0 ? PublishStatus::queued : PublishStatus::nobody,
                       given.workers, position);
}

std::optional<PublishStatus> TopicState::publish_unheard() noexcept {
  if (options_.history > 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (subscribers_.load(std::memory_order_relaxed) > 0) return std::nullopt;
  ++offset_;
  return PublishStatus(PublishStatus::nobody, 0, position_at(offset_));
}

Position TopicState::position() const noexcept {
  const std::lock_guard lock(mutex_);
  return position_at(offset_);
}

Position TopicState::position_of(std::uint64_t offset) const noexcept {
  const std::lock_guard lock(mutex_);
  return position_at(offset);
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
  beginning.kept = read(first, beginning.last, room);
  const std::uint64_t next = first + beginning.kept.size();
  if (next <= beginning.last) beginning.rest = next;
}

// Returns whether a broker numbers the publications, and this process does not know the position.
bool TopicState::is_unnumbered() const noexcept {
  return bridged_ && bridged_->outlet.is_durable() && !bridged_->numbered;
}

// Returns whether a broker may know more than this process.
bool TopicState::may_ask() const noexcept {
  if (!bridged_ || !bridged_->outlet.is_durable()) return false;
  return !bridged_->numbered || (!bridged_->complete && options_.history > 0);
}

void TopicState::find_last(std::uint64_t count, std::size_t room, Beginning& beginning) const {
  Subscribed& subscribed = beginning.subscribed;
  const std::uint64_t last = beginning.last;
  const std::uint64_t wanted = std::min(count, subscribed.offset);
  const std::uint64_t first = std::max(last + 1 - wanted, first_kept());
  const bool known = bridged_ == nullptr || bridged_->numbered;
  if (beginning.asks && count > 0 && (!known || last + 1 - first < wanted)) return;
  beginning.asks = false;
  keep_from(first, room, beginning);
  subscribed.missed = wanted - (last + 1 - first);
}

// The subscriber was on a process that was faster, or the position is of another past, for example
// of a broker that lost its last publications. The broker knows which.
void TopicState::find_ahead(Position position, Beginning& beginning) const {
  Subscribed& subscribed = beginning.subscribed;
  if (position.offset <= offset_ - base_) {  // what it has came here meanwhile, and is skipped
    beginning.last = position.offset + base_;
    beginning.asks = false;
    subscribed.offset = position.offset;
    return;
  }
  subscribed.missed = subscribed.offset;
  subscribed.recovered = false;
}

void TopicState::find_after(Position position, std::size_t room, bool final,
                            Beginning& beginning) const {
  Subscribed& subscribed = beginning.subscribed;
  const std::uint64_t newest = subscribed.offset;
  const auto [epoch, offset] = position;
  const std::uint64_t here = offset + base_;  // within the process
  const bool same = epoch == epoch_ && (bridged_ == nullptr || here >= bridged_->floor);
  if (same && offset > newest && bridged_ != nullptr && bridged_->numbered) {
    beginning.asks = !final && bridged_->outlet.is_durable();
    return find_ahead(position, beginning);
  }
  const bool known = same && offset <= newest;
  if (known && here + 1 >= first_kept()) {
    keep_from(here + 1, room, beginning);
    beginning.asks = false;
    return;
  }
  subscribed.missed = epoch == epoch_ && offset <= newest ? newest - offset : newest;
  subscribed.recovered = known && newest == offset;
}

// `final`: the broker is not asked.
Beginning TopicState::find_beginning(From from, std::size_t room, std::uint64_t last,
                                     bool final) const {
  const Position head = position_at(last);
  Beginning beginning{.subscribed = {.epoch = head.epoch, .offset = head.offset}, .last = last};
  Subscribed& subscribed = beginning.subscribed;
  switch (from.kind()) {
    case From::Kind::now:
      break;
    case From::Kind::last:
      beginning.asks = !final && may_ask();
      find_last(from.count(), room, beginning);
      subscribed.recovered = subscribed.missed == 0;
      break;
    case From::Kind::position:
      beginning.asks = !final && may_ask();
      find_after(from.position(), room, final, beginning);
      break;
  }
  if (is_unnumbered()) subscribed.epoch = subscribed.offset = 0;  // own numbers mean nothing
  return beginning;
}

// The caller holds the lock.
Beginning TopicState::begin(From from, std::size_t room) {
  if (from.kind() != From::Kind::now) {
    const std::size_t before = history_.bytes();
    history_.drop_old(std::chrono::steady_clock::now(), options_);
    table_.history_shrank(before - history_.bytes());
  }
  return find_beginning(from, room, offset_, false);
}

Beginning TopicState::begin_again(From from, std::size_t room) {
  const std::lock_guard lock(mutex_);
  return begin(from, room);
}

Beginning TopicState::join(std::size_t worker, Seat& seat, From from, std::size_t room) {
  const std::lock_guard lock(mutex_);
  const bool is_first = subscribers_.load(std::memory_order_relaxed) == 0;
  Beginning beginning = begin(from, room);
  if (is_first && bridged_ && !bridged_->outlet.on_first(*this)) throw std::bad_alloc();
  places_[worker].seat = &seat;
  if (subscribers_.fetch_add(1, std::memory_order_relaxed) == 0) table_.changed(*this);
  return beginning;
}

void TopicState::leave(std::size_t worker, bool seat_is_empty) noexcept {
  const std::lock_guard lock(mutex_);
  if (seat_is_empty) places_[worker].seat = nullptr;
  if (subscribers_.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  table_.changed(*this);
  if (bridged_) bridged_->outlet.on_last(*this);
}

// ---- history and life

// A publication that came after the table chose this topic stays.
std::size_t TopicState::drop_history(std::uint64_t last) noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = history_.bytes();
  history_.drop_up_to(last);
  if (bridged_) bridged_->complete = false;
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
