#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include "base/intrusive_list.h"
#include "topics/arrival.h"
#include "topics/format_turn.h"
#include "topics/history.h"
#include "topics/inbox.h"
#include "topics/outlet.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
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
  /// The offset of the first publication that did not fit into `kept`; 0 if all of them did.
  /// TopicState::read_history() has the rest, up to subscribed.offset.
  std::uint64_t rest = 0;
  /// The offset of the newest publication within this process; see TopicState.
  std::uint64_t last = 0;
  /// The broker must be asked for publications, and `kept` is empty.
  bool asks = false;
};

/// A message that is ready to be published.
struct Outgoing {
  SharedMessage message;
  Source source{};
  bool compress = true;
};

/// One topic of a server. Within the process its publications have consecutive offsets. Those of
/// positions differ from them by a number that changes when a broker numbers the publications.
///
/// It exists while someone has a TopicRef: a subscriber, a tern::Topic, the
/// list of histories, or a publication on its way. Thread: any, unless stated otherwise.
class TopicState : public base::ListHook<HistoryTag>, public base::ListHook<ChangeTag> {
 public:
  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();

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
  /// The same for a publication that came through the outlet. `at` is the position that the broker
  /// gave it.
  Placed place(const Outgoing& outgoing, std::optional<Position> at) noexcept;
  /// Gives an offset to a publication without a subscriber and a history. Returns nothing, and
  /// does nothing, if there is one of them.
  std::optional<PublishStatus> publish_unheard() noexcept;
  /// Null if the topic has no format function.
  FormatQueue* formatting() const noexcept { return formatting_.get(); }
  Position position() const noexcept;
  /// The position of the publication with this offset within the process.
  Position position_of(std::uint64_t offset) const noexcept;
  std::size_t subscribers() const noexcept { return subscribers_.load(std::memory_order_relaxed); }

  /// A worker has one subscriber more. `seat` is the place of this worker. All publications with an
  /// offset above that of the result will reach the seat. The older ones that `from` asks for are
  /// in the result, as far as `room` bytes take them; a room of 0 takes none, and any other at
  /// least one. Throws std::bad_alloc and then does nothing. Thread: the worker's.
  Beginning join(std::size_t worker, Seat& seat, From from, std::size_t room = no_bound);
  /// The same for a subscriber that has joined: it begins again.
  Beginning begin_again(From from, std::size_t room = no_bound);
  /// The same for one whose broker was asked for the history: only publications up to `last`, which
  /// read_history() has. `final`: the broker is not asked again.
  Beginning begin_late(From from, std::uint64_t last, bool final) noexcept;
  /// Returns publications of the history with the offsets `first` to `last`: as many of the oldest
  /// ones as `room` bytes take. The history may have lost some of them, or all. Throws
  /// std::bad_alloc.
  std::vector<Kept> read_history(std::uint64_t first, std::uint64_t last, std::size_t room) const;
  /// A subscriber left. `seat_is_empty`: it was the last one of this worker, whose seat receives
  /// nothing from now on. Thread: the worker's.
  void leave(std::size_t worker, bool seat_is_empty) noexcept;
  /// The seat of a worker. Thread: the worker's.
  Seat* seat(std::size_t worker) const noexcept { return places_[worker].seat; }
  /// The part of this topic in the inbox of a worker.
  Inbox::Share& share(std::size_t worker) noexcept { return places_[worker].share; }

  /// The number of subscribers that take the compressed form that connections share.
  std::uint32_t sharers() const noexcept { return sharers_.load(std::memory_order_relaxed); }
  void add_sharer() noexcept { sharers_.fetch_add(1, std::memory_order_relaxed); }
  void remove_sharer() noexcept { sharers_.fetch_sub(1, std::memory_order_relaxed); }

  /// Drops the publications of the history up to this offset. Returns the number of their bytes.
  std::size_t drop_history(std::uint64_t last) noexcept;

  /// Begins another life with the same history: older positions are not recovered any more.
  void begin_epoch(std::uint64_t epoch) noexcept;

  // ---- with an outlet

  /// Null without an outlet.
  Bridged* bridged() const noexcept { return bridged_.get(); }
  /// Sets the outlet. Call it before the server runs. Throws std::bad_alloc.
  void set_outlet(Outlet& outlet);
  /// The number of gaps that were reported, modulo 256.
  std::uint8_t gaps() const noexcept {
    return bridged_ ? static_cast<std::uint8_t>(bridged_->gaps.load(std::memory_order_relaxed)) : 0;
  }
  /// Publications may be missing. Positions of before are not recovered any more, and the next
  /// number of the broker is accepted.
  void begin_gap(std::uint64_t epoch) noexcept;
  /// Calls Outlet::end_interest() if the topic still has no subscriber. The history ends, because
  /// the topic receives no further publications. Returns false if memory is out.
  bool end_interest(std::uint64_t epoch) noexcept;
  /// The position of the last publication that the broker numbered; nothing if it numbered none.
  std::optional<Position> numbered() const noexcept;
  /// The position of the broker's newest publication is known before one comes. Does nothing if the
  /// topic has a number, or is not wanted. `sure`: no publication up to it follows.
  void begin_numbers(Position newest, bool sure) noexcept;
  /// Adds publications of the broker's history before those of its own. `last` is the position of
  /// the broker's newest one. `complete`: it has no older ones that this topic may keep.
  void load(std::span<const Loaded> publications, Position last, bool complete);

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  /// For Table::release(): removes a reference unless it is the last one.
  bool release_unless_last() noexcept;
  /// The same under the lock of the topic's shard. Returns whether none is left.
  bool release_last() noexcept { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  // The table guards these.
  base::IntrusiveList<TopicState, HistoryTag>* histories = nullptr;  // the list of its rule
  TopicEvent told = TopicEvent::unwanted;  // the last event that the application received
  History::TimePoint last_kept{};          // when the history took its last publication
  std::uint64_t last_kept_offset = 0;      // the offset of that one

 private:
  bool reserve(std::size_t bytes) noexcept;
  void cancel(std::size_t places, std::size_t bytes) noexcept;
  bool prepare(const Outgoing& outgoing, std::size_t count, ArrivalList& arrivals) noexcept;
  /// The result of a publication, beside the place itself.
  struct Given {
    History::TimePoint now = std::chrono::steady_clock::now();
    std::ptrdiff_t grown = 0;  // bytes of the history
    std::uint64_t offset = 0;
    std::uint32_t workers = 0;
  };
  bool give(const Outgoing& outgoing, Given& given) noexcept;
  void count_history(const Given& given) noexcept;
  Placed check_number(Position at) const noexcept;
  std::size_t number_from(Position newest) noexcept;
  Position position_at(std::uint64_t offset) const noexcept { return {epoch_, offset - base_}; }
  bool may_ask() const noexcept;
  bool is_unnumbered() const noexcept;
  std::uint64_t first_kept() const noexcept { return offset_ + 1 - history_.size(); }
  std::vector<Kept> read(std::uint64_t first, std::uint64_t last, std::size_t room) const;
  void keep_from(std::uint64_t first, std::size_t room, Beginning& beginning) const;
  Beginning begin(From from, std::size_t room);
  Beginning find_beginning(From from, std::size_t room, std::uint64_t last, bool final) const;
  void find_last(std::uint64_t count, std::size_t room, Beginning& beginning) const;
  void find_after(Position position, std::size_t room, bool final, Beginning& beginning) const;
  void find_ahead(Position position, Beginning& beginning) const;

  Table& table_;
  const TopicOptions& options_;
  const std::string name_;
  const std::unique_ptr<FormatQueue> formatting_;
  std::atomic<std::uint32_t> references_{1};
  std::atomic<std::uint32_t> subscribers_{0};
  std::atomic<std::uint32_t> sharers_{0};
  mutable std::mutex mutex_{};
  // Guarded by mutex_. Only its own worker writes a seat, so that it reads it without the lock.
  struct Place {
    Seat* seat = nullptr;  // null: the worker has no subscribers
    Inbox::Share share{};  // the worker's inbox guards it
  };
  std::uint64_t epoch_;
  std::uint64_t offset_ = 0;   // within the process
  std::uint64_t base_ = 0;     // the offset of a position is so much less, modulo 2^64
  std::vector<Place> places_;  // one for each worker
  History history_{};
  std::unique_ptr<Bridged> bridged_{};  // set before the server runs, or by the constructor
};

}  // namespace tern::topics
