// A topic with pending publications is a job. A lap visits its subscribers in the order of a dense
// array; each visit writes all that is pending for that subscriber with one call. Publications that
// come during a lap join the pending ones: the subscribers that are still to be visited receive
// them in this lap, the others in the next one. So the delivery becomes cheaper for each message
// while more of them wait.
//
// A slice runs no code of the application, so no subscription changes meanwhile.
#include "connection/fanout.h"

#include "base/assert.h"
#include "base/prefetch.h"
#include "connection/extras.h"
#include "connection/live_connection.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <new>
#include <utility>

namespace tern::connection {
namespace {

using Clock = std::chrono::steady_clock;
using topics::Arrival;

constexpr int visits_of_a_job = 64;  // in a row, then the next job has its turn
// Tens of thousands may come at once. To sort so many takes about a tenth of a slice.
constexpr std::size_t sorted_in_a_slice = 1024;

// Grows by a quarter, because a server may have a million subscriptions.
template <class T>
void make_room(std::vector<T>& vector) {
  constexpr std::size_t least = 2;
  if (vector.size() < vector.capacity()) return;
  vector.reserve(vector.size() + std::max(least, vector.size() / 4));
}

Backlog make_backlog(LocalTopic& topic, topics::Beginning& beginning, From from) noexcept {
  Backlog backlog{.topic = &topic,
                  .kept = std::move(beginning.kept),
                  .rest = beginning.rest,
                  .rest_last = beginning.last,
                  .asks = beginning.asks,
                  .from = from};
  for (const topics::Kept& each : backlog.kept) {
    backlog.kept_bytes += topics::History::weight_of(each.message);
  }
  return backlog;
}

topics::Inbox::Bounds bounds_of(const TopicLimits& limits) noexcept {
  return {limits.max_waiting, limits.max_waiting_bytes};
}

}  // namespace

/// The work of one slice: 256 visits or a millisecond. To skip a subscriber that has everything is
/// nearly free. The clock is read every 16 visits, or sooner if they have much to do, because to
/// encrypt or to compress 256 KiB takes long.
class SliceBudget {
 public:
  bool count_visit(Work work) noexcept {
    const std::size_t units = units_of_message * work.messages + work.bytes / bytes_of_unit;
    return count(units_of_visit + static_cast<int>(std::min<std::size_t>(units, most_units)));
  }
  bool count_skip() noexcept { return count(1); }
  bool spent() const noexcept { return spent_; }
  std::chrono::nanoseconds elapsed() const noexcept { return Clock::now() - began_; }

 private:
  static constexpr int units_of_visit = 60;  // and 4 for its first message
  static constexpr int units_of_message = 4;
  static constexpr std::size_t bytes_of_unit = 256;
  static constexpr int units_between_looks = 16 * 64;
  static constexpr std::size_t most_units = units_between_looks;
  static constexpr int max_looks = 16;
  static constexpr std::chrono::milliseconds max_time{1};

  bool count(int units) noexcept {
    left_ -= units;
    return left_ <= 0 && look();
  }
  bool look() noexcept {
    left_ = units_between_looks;
    spent_ = ++looks_ >= max_looks || Clock::now() - began_ >= max_time;
    return spent_;
  }

  const Clock::time_point began_ = Clock::now();
  int left_ = units_between_looks;
  int looks_ = 0;
  bool spent_ = false;
};

Fanout::Fanout(net::LoopCore& core, Metrics& metrics, std::shared_ptr<topics::Table> table,
               std::size_t worker)
    : core_(core),
      metrics_(metrics),
      table_(std::move(table)),
      worker_(worker),
      inbox_(bounds_of(table_->limits()), [mailbox = core.mailbox()] { mailbox->announce(); }) {
  core_.set_inbound(this);
}

Fanout::~Fanout() {
  TERN_ASSERT(topics_ == 0);
  core_.set_inbound(nullptr);
  take_arrivals();  // drops them, because no topic has a seat here
}

// ---- publications

bool LocalTopic::widen_window(const Arrival& arrival) noexcept {
  constexpr std::uint32_t max_count = 256;
  constexpr std::size_t max_bytes = std::size_t{256} << 10;
  if (window_count >= max_count || window_bytes >= max_bytes) return false;
  window_end = &arrival;
  ++window_count;
  window_bytes += arrival.bytes();
  return true;
}

// The window has all that is pending, or it is full.
void LocalTopic::push(Arrival* arrival) noexcept {
  if (pending.empty()) empty_window();
  pending.push_back(arrival);
  widen_window(*arrival);
}

void LocalTopic::renew_window() noexcept {
  empty_window();
  for (const Arrival* at = pending.front(); at != nullptr && widen_window(*at);) at = at->next;
}

void Fanout::take_arrivals() noexcept {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  sort_arrivals(all);
  inbox_.take(arrived_);
  sort_arrivals(all);
}

// Passes at most `most` publications to their topics.
void Fanout::sort_arrivals(std::size_t most) noexcept {
  for (; !arrived_.empty() && most > 0; --most) {
    Arrival* const arrival = arrived_.pop_front();
    arrival->number = ++last_arrival_;
    LocalTopic* const topic = find(*arrival->topic);
    if (topic == nullptr) {  // the last subscriber has left meanwhile
      drop(arrival);
      continue;
    }
    topic->push(arrival);
    if (!topic->linked()) {
      topic->next = 0;
      jobs_.push_back(*topic);
      ++job_count_;
    }
    if (topic->next == 0) topic->lap_last = topic->last().offset;
  }
}

void Fanout::drop(Arrival* arrival) noexcept {
  inbox_.release(arrival->topic->share(worker_), 1, arrival->bytes());
  delete arrival;
}

void Fanout::on_announced() noexcept {
  if (!static_cast<net::Watcher*>(this)->linked()) run_soon();
}

// A turn has one slice. After it, an on_drain of a subscriber may publish again. Without this bound
// such publications could keep the loop busy without end.
void Fanout::at_turn_end() noexcept {
  if (sliced_ == core_.now()) return core_.again(*this);
  sliced_ = core_.now();
  slice();
}

void Fanout::slice() noexcept {
  if (arrived_.empty()) inbox_.take(arrived_);
  sort_arrivals(sorted_in_a_slice);
  if (!jobs_.empty()) {
    SliceBudget budget;
    while (!jobs_.empty() && !budget.spent()) {
      LocalTopic& job = jobs_.pop_front();
      if (work(job, budget)) {
        --job_count_;
      } else {
        jobs_.push_back(job);
      }
    }
    metrics_.topic_slices.add(budget.elapsed());
  }
  const bool is_done = jobs_.empty() && arrived_.empty() && inbox_.rest();
  if (!is_done) core_.again(*this);
}

// Returns whether the job is done.
bool Fanout::work(LocalTopic& job, SliceBudget& budget) noexcept {
  for (int visits = 0; visits < visits_of_a_job;) {
    if (job.next >= job.entries.size() && !next_lap(job)) return true;
    Entry& entry = job.entries[job.next];
    if (entry.cursor >= job.last().offset) {
      ++job.next;
      if (budget.count_skip()) return false;
      continue;
    }
    if (job.next + 1 < job.entries.size()) {
      base::prefetch<sizeof(LiveConnection) + 64>(job.entries[job.next + 1].connection);
    }
    const Work done = entry.connection->deliver(job, entry);
    // Otherwise the messages of other topics filled this visit. The next visit goes on here.
    if (entry.cursor >= job.last().offset) ++job.next;
    ++visits;
    if (budget.count_visit(done)) return false;
  }
  return false;
}

// A lap has ended: all subscribers have what was pending when it began. Returns whether there is
// more.
bool Fanout::next_lap(LocalTopic& job) noexcept {
  const Clock::time_point now = Clock::now();
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (!job.pending.empty() && job.pending.front()->offset <= job.lap_last) {
    std::unique_ptr<Arrival> arrival(job.pending.pop_front());
    ++count;
    bytes += arrival->bytes();
    metrics_.topic_fanout.add(now - arrival->published);
    if (job.stale > 0) job.newest = std::move(arrival);
  }
  inbox_.release(job.topic->share(worker_), count, bytes);
  if (job.pending.empty()) return false;
  job.renew_window();
  job.next = 0;
  job.lap_last = job.last().offset;
  return true;
}

// ---- subscriptions

LocalTopic* Fanout::find(const topics::TopicState& topic) const noexcept {
  return static_cast<LocalTopic*>(topic.seat(worker_));
}

topics::Beginning Fanout::add(topics::TopicRef topic, LiveConnection& connection, Extras& extras,
                              SubscribeOptions options, std::size_t room) {
  joined_.prepare();
  make_room(extras.subscriptions);
  make_room(extras.backlogs);
  merge_.reserve(extras.subscriptions.capacity());
  LocalTopic* local = find(*topic);
  std::unique_ptr<LocalTopic> made;
  if (local == nullptr) {
    made = std::make_unique<LocalTopic>(inbox_, topic);
    local = made.get();
  }
  make_room(local->entries);
  topics::Beginning beginning = topic->join(worker_, *local, options.from, room);
  if (made.release() != nullptr) ++topics_;
  // Nothing fails from here on.
  local->entries.push_back({.connection = &connection,
                            .cursor = beginning.last,
                            .back = static_cast<std::uint32_t>(extras.subscriptions.size()),
                            .delivery = options.delivery,
                            .state = Entry::State::held,
                            .shares = connection.shares_compression(),
                            .gaps = topic->gaps()});
  if (local->entries.back().shares) topic->add_sharer();
  extras.subscriptions.push_back(
      {.topic = local, .index = static_cast<std::uint32_t>(local->entries.size() - 1)});
  extras.backlogs.push_back(make_backlog(*local, beginning, options.from));
  metrics_.topic_subscriptions_begun.add();
  return beginning;
}

topics::Beginning Fanout::renew(Extras& extras, std::size_t index, SubscribeOptions options,
                                std::size_t room) {
  Subscription& subscription = extras.subscriptions[index];
  LocalTopic& topic = *subscription.topic;
  Entry& entry = topic.entries[subscription.index];
  make_room(extras.backlogs);
  topics::Beginning beginning = topic.topic->begin_again(options.from, room);
  // Nothing fails from here on.
  forget_waiting(extras, topic, entry);
  subscription.missed = 0;
  entry.cursor = beginning.last;
  entry.gaps = topic.topic->gaps();
  entry.delivery = options.delivery;
  entry.state = Entry::State::held;
  entry.pending = false;
  extras.backlogs.push_back(make_backlog(topic, beginning, options.from));
  return beginning;
}

// The session may subscribe and unsubscribe meanwhile: entries change their places, and the topic
// may have none any more.
std::size_t Fanout::on_history(const topics::TopicState& topic, bool known,
                               std::size_t count) noexcept {
  constexpr int told_between_looks = 16;
  constexpr std::chrono::milliseconds max_time(1);
  const auto end = Clock::now() + max_time;
  LocalTopic* local = find(topic);
  std::size_t i = local != nullptr ? std::min(count, local->entries.size()) : 0;
  for (int told = 0; i-- > 0;) {
    local = find(topic);
    if (local == nullptr) return 0;
    if (i >= local->entries.size()) continue;
    const Entry& entry = local->entries[i];
    if (entry.state != Entry::State::held && !entry.pending) continue;
    entry.connection->on_history(*local, known);
    if (++told % told_between_looks == 0 && Clock::now() >= end) return i;
  }
  return 0;
}

// Drops what waits for a subscription.
void Fanout::forget_waiting(Extras& extras, LocalTopic& topic, Entry& entry) noexcept {
  std::erase_if(extras.backlogs, [&](const Backlog& backlog) { return backlog.topic == &topic; });
  if (entry.state != Entry::State::stale) return;
  --extras.stale;
  topic.remove_stale();
}

void Fanout::remove(Extras& extras, std::size_t index) noexcept {
  const Subscription gone = extras.subscriptions[index];
  LocalTopic& topic = *gone.topic;
  forget_waiting(extras, topic, topic.entries[gone.index]);
  if (topic.entries[gone.index].shares) topic.topic->remove_sharer();
  extras.subscriptions[index] = extras.subscriptions.back();
  const Subscription& moved = extras.subscriptions[index];
  moved.topic->entries[moved.index].back = static_cast<std::uint32_t>(index);
  extras.subscriptions.pop_back();
  remove_entry(topic, gone.index);
  metrics_.topic_subscriptions_ended.add_last();
  topic.topic->leave(worker_, topic.entries.empty());
  if (topic.entries.empty()) destroy(topic);
}

// Keeps the entries that the lap has visited in front of the others.
void Fanout::remove_entry(LocalTopic& topic, std::size_t index) noexcept {
  std::vector<Entry>& entries = topic.entries;
  const auto move = [&](std::size_t from, std::size_t to) {
    if (from == to) return;
    entries[to] = entries[from];
    Extras& extras = *entries[to].connection->extras();
    extras.subscriptions[entries[to].back].index = static_cast<std::uint32_t>(to);
  };
  if (index < topic.next) {
    --topic.next;
    move(topic.next, index);
    index = topic.next;
  }
  move(entries.size() - 1, index);
  entries.pop_back();
}

// Drops what is pending, because no subscriber is left.
void Fanout::destroy(LocalTopic& topic) noexcept {
  while (!topic.pending.empty()) drop(topic.pending.pop_front());
  if (topic.linked()) --job_count_;
  --topics_;
  joined_.forget(topic);
  delete &topic;
}

}  // namespace tern::connection
