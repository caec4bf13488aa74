#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include "base/intrusive_list.h"
#include "topics/arrival.h"
#include "topics/history.h"
#include "topics/inbox.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::topics {

class Table;
struct HistoryTag;
struct ChangeTag;

/// The place of one worker at a topic: it has subscribers. The worker derives its own part of the
/// topic from it.
struct Seat {
  Inbox& inbox;
};

/// The publications with which a subscription begins.
struct Beginning {
  Subscribed subscribed{};
  std::vector<Kept> kept{};
};

/// A message that is ready to be published.
struct Outgoing {
  SharedMessage message;
  Source source{};
  bool compress = true;
};

/// One topic of a server. It exists while someone has a TopicRef: a subscriber, a tern::Topic, the
/// list of histories, or a publication on its way. Thread: any, unless stated otherwise.
class TopicState : public base::ListHook<HistoryTag>, public base::ListHook<ChangeTag> {
 public:
  /// Throws std::bad_alloc. The caller owns the first reference.
  TopicState(Table& table, std::string_view name, const TopicOptions& options, std::uint64_t epoch,
             std::size_t workers);
  TopicState(const TopicState&) = delete;
  TopicState& operator=(const TopicState&) = delete;

  std::string_view name() const noexcept { return name_; }
  Table& table() const noexcept { return table_; }
  const TopicOptions& options() const noexcept { return options_; }

  /// Gives the message the next offset, and hands it to each worker with subscribers, or to none.
  /// With `expected` it does so only if that is the next position, else it returns nothing.
  std::optional<PublishStatus> publish(const Outgoing& outgoing,
                                       std::optional<Position> expected) noexcept;
  /// Gives an offset to a publication without a subscriber and a history. Returns nothing, and
  /// does nothing, if there is one of them.
  std::optional<PublishStatus> publish_unheard() noexcept;
  Position position() const noexcept;
  std::size_t subscribers() const noexcept { return subscribers_.load(std::memory_order_relaxed); }

  /// A worker has one subscriber more. `seat` is the place of this worker. All publications with an
  /// offset above that of the result will reach the seat, and the older ones that `from` asks for
  /// are in the result. Throws std::bad_alloc and then does nothing. Thread: the worker's.
  Beginning join(std::size_t worker, Seat& seat, From from);
  /// The same for a subscriber that has joined: it begins again.
  Beginning begin_again(From from);
  /// A subscriber left. `seat_is_empty`: it was the last one of this worker, whose seat receives
  /// nothing from now on. Thread: the worker's.
  void leave(std::size_t worker, bool seat_is_empty) noexcept;
  /// The seat of a worker. Thread: the worker's.
  Seat* seat(std::size_t worker) const noexcept { return seats_[worker]; }

  /// Drops the history. Returns the number of its bytes.
  std::size_t drop_history() noexcept;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// For Table::release(): removes a reference unless it is the last one.
  bool release_unless_last() noexcept;
  /// The same under the lock of the topic's shard. Returns whether none is left.
  bool release_last() noexcept { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  // The table guards these.
  base::IntrusiveList<TopicState, HistoryTag>* histories = nullptr;  // the list of its rule
  TopicEvent told = TopicEvent::unwanted;  // the last event that the application received
  History::TimePoint last_kept{};          // when the history took its last publication

 private:
  bool reserve(std::size_t bytes) noexcept;
  void cancel(std::size_t seats, std::size_t bytes) noexcept;
  bool prepare(const Outgoing& outgoing, std::size_t count, ArrivalList& arrivals) noexcept;
  std::vector<Kept> kept_from(std::uint64_t offset) const;
  Beginning begin(From from);
  Beginning find_beginning(From from) const;

  Table& table_;
  const TopicOptions& options_;
  const std::string name_;
  std::atomic<std::uint32_t> references_{1};
  std::atomic<std::uint32_t> subscribers_{0};
  mutable std::mutex mutex_{};
  // Guarded by mutex_. Only its own worker writes a seat, so that it reads it without the lock.
  const std::uint64_t epoch_;
  std::uint64_t offset_ = 0;
  std::vector<Seat*> seats_;  // one for each worker; null: it has no subscribers
  History history_{};
};

}  // namespace tern::topics
