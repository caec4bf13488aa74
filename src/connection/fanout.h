// Delivers publications to the subscribers of one worker.
#pragma once

#include "tern/topics.h"

#include "base/intrusive_list.h"
#include "connection/joined_frames.h"
#include "connection/metrics.h"
#include "net/loop_core.h"
#include "topics/arrival.h"
#include "topics/inbox.h"
#include "topics/table.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tern::connection {

class LiveConnection;
class SliceBudget;
struct Extras;
struct JobTag;

/// A subscription, as the topic of the worker knows it.
struct Entry {
  /// The way in which the next publications reach the connection.
  enum class State : std::uint8_t {
    live,   // they are sent
    held,   // they join the Backlog, because the history comes first
    stale,  // Delivery::latest: the newest is sent when the queue is short
  };

  LiveConnection* connection;
  std::uint64_t cursor;  // the offset of the last publication that it has, or that it skips
  std::uint32_t back;    // the index of the connection's Subscription
  Delivery delivery;
  State state = State::live;
  bool shares : 1 = false;   // it takes the compressed form that connections share
  bool pending : 1 = false;  // the session was told Subscribed::pending, and waits for the rest
  std::uint8_t gaps = 0;     // TopicState::gaps() that the session knows
};

/// The work of one visit.
struct Work {
  static const Work of_visit;  // about the most of one visit
  static const Work unbounded;
  /// So many subscriptions are looked at in the time of one more message.
  static constexpr std::size_t looks_of_message = 16;

  std::size_t messages;
  std::size_t bytes;
};

inline constexpr Work Work::of_visit{256, std::size_t{256} << 10};
inline constexpr Work Work::unbounded{~std::size_t{0}, ~std::size_t{0}};

/// The next pending publication of a subscription, while those of several topics are merged.
struct Merged {
  topics::Arrival* at;
  std::uint32_t index;  // of the connection's Subscription
};

/// The part of one worker in a topic with subscribers here. While publications are pending it is a
/// job, and the subscribers are visited in laps. A visit gives the subscriber at most the window:
/// the first pending publications, up to 256 of them or 256 KiB.
struct LocalTopic final : topics::Seat, base::ListHook<JobTag> {
  LocalTopic(topics::Inbox& of_worker, topics::TopicRef ref) noexcept
      : Seat{of_worker}, topic(std::move(ref)) {}

  /// Appends a pending publication.
  void push(topics::Arrival* arrival) noexcept;
  /// Makes the window begin at the first pending publication. There must be one.
  void renew_window() noexcept;
  bool widen_window(const topics::Arrival& arrival) noexcept;
  void empty_window() noexcept {
    window_count = 0;
    window_bytes = 0;
  }
  /// The last publication of the window.
  const topics::Arrival& last() const noexcept { return *window_end; }

  /// The newest publication that came. At least one entry must be stale.
  const topics::Arrival& newest_of_all() const noexcept {
    return pending.empty() ? *newest : *pending.back();
  }
  /// One stale entry less.
  void remove_stale() noexcept {
    if (--stale == 0) newest.reset();
  }

  topics::TopicRef topic;
  std::vector<Entry> entries{};
  topics::ArrivalList pending{};
  const topics::Arrival* window_end = nullptr;
  std::size_t window_bytes = 0;
  std::size_t next = 0;        // the entry that is visited next
  std::uint64_t lap_last = 0;  // all entries have the pending up to this offset when the lap ends
  std::unique_ptr<topics::Arrival> newest{};  // the last that was pending, for stale entries
  std::uint32_t window_count = 0;
  std::uint32_t stale = 0;  // entries in that state
};

/// The subscribers of one worker, and the publications on their way to them. Publications wait in
/// the Inbox until the loop takes them; then each topic with pending ones is a job. The loop works
/// on the jobs in slices of about a millisecond, so that its other connections do not wait.
/// Thread: the worker's.
class Fanout final : private net::Inbound, private net::Watcher, private net::Deferred {
 public:
  /// `worker` is the index of this worker's seats.
  Fanout(net::LoopCore& core, Metrics& metrics, std::shared_ptr<topics::Table> table,
         std::size_t worker);
  ~Fanout();
  Fanout(const Fanout&) = delete;
  Fanout& operator=(const Fanout&) = delete;

  topics::Table& table() const noexcept { return *table_; }
  const topics::Inbox& inbox() const noexcept { return inbox_; }
  Metrics& metrics() const noexcept { return metrics_; }
  /// Returns whether publications are on their way to this worker or to some of its subscribers.
  bool busy() const noexcept { return inbox_.busy(); }
  /// The number of the last publication that take_arrivals() took.
  std::uint64_t last_arrival() const noexcept { return last_arrival_; }
  /// Returns whether several topics have pending publications.
  bool has_several_jobs() const noexcept { return job_count_ > 1; }
  /// Memory for the merge of one connection's topics: one for each of its subscriptions.
  std::vector<Merged>& merge() noexcept { return merge_; }
  /// The frames of the topic's window in one piece, see JoinedFrames.
  std::span<const std::byte> joined(const LocalTopic& topic) noexcept { return joined_.of(topic); }
  /// Makes a slice run at the end of this turn.
  void run_soon() noexcept { core_.defer(*this); }
  /// Makes all publications that came pending.
  void take_arrivals() noexcept;
  /// From now on a connection that ends does not first receive what is pending.
  void give_up() noexcept { gave_up_ = true; }
  bool gave_up() const noexcept { return gave_up_; }

  /// Returns the topic of this worker; null if it has no subscriber here.
  LocalTopic* find(const topics::TopicState& topic) const noexcept;
  /// Subscribes a connection. `room` bounds the history that its backlog keeps, see
  /// TopicState::join(). Throws std::bad_alloc and then does nothing.
  topics::Beginning add(topics::TopicRef topic, LiveConnection& connection, Extras& extras,
                        SubscribeOptions options, std::size_t room);
  /// Makes the subscription of this index begin again. Throws std::bad_alloc and then does nothing.
  topics::Beginning renew(Extras& extras, std::size_t index, SubscribeOptions options,
                          std::size_t room);
  /// The answer to Outlet::ask() or ask_number() is there; `known`: it was not a failure. Tells the
  /// subscriptions that wait for it, for about a millisecond, from the last of the first `count`
  /// down. Returns the `count` of the next call; 0 when all are told.
  std::size_t on_history(const topics::TopicState& topic, bool known, std::size_t count) noexcept;
  static constexpr std::size_t all_subscriptions = ~std::size_t{0};
  /// Ends the subscription of this index.
  void remove(Extras& extras, std::size_t index) noexcept;

 private:
  void on_announced() noexcept override;
  void on_ready(std::uint32_t) noexcept override { run_soon(); }
  void at_turn_end() noexcept override;
  void on_retired() noexcept override {}

  void sort_arrivals(std::size_t most) noexcept;
  void drop(topics::Arrival* arrival) noexcept;
  void slice() noexcept;
  bool work(LocalTopic& job, SliceBudget& budget) noexcept;
  bool next_lap(LocalTopic& job) noexcept;
  static void forget_waiting(Extras& extras, LocalTopic& topic, Entry& entry) noexcept;
  void remove_entry(LocalTopic& topic, std::size_t index) noexcept;
  void destroy(LocalTopic& topic) noexcept;

  net::LoopCore& core_;
  Metrics& metrics_;
  const std::shared_ptr<topics::Table> table_;
  const std::size_t worker_;
  topics::Inbox inbox_;
  topics::ArrivalList arrived_{};  // taken from the inbox, and not yet pending
  base::IntrusiveList<LocalTopic, JobTag> jobs_{};
  std::vector<Merged> merge_{};
  JoinedFrames joined_{};
  net::LoopCore::time_point sliced_{};  // the turn of the last slice
  std::uint64_t last_arrival_ = 0;
  std::size_t job_count_ = 0;
  std::size_t topics_ = 0;
  bool gave_up_ = false;
};

}  // namespace tern::connection
