// Sends publications that wait until the turn of a subscriber ends or its queue is short: the
// history of a subscription that has just begun, and the newest value of a topic. Reports gaps.
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"

#include <algorithm>
#include <utility>

namespace tern::connection {
namespace {

using topics::Arrival;

// Newest values are written together up to this size. If the socket does not take them, the others
// stay, because they may be replaced.
constexpr std::size_t newest_at_once = std::size_t{16} << 10;

// So much of a history is read from the topic at a time.
constexpr std::size_t part_of_history = std::size_t{64} << 10;

}  // namespace

// The turn of the connection ends, and its queue was flushed.
[[gnu::cold]] void LiveConnection::serve_waiting() noexcept {
  if (!engine_.is_open()) {
    waits_ = false;
    return;
  }
  serve_backlogs();
  if (extras_->stale > 0) serve_stale();
  waits_ = !extras_->backlogs.empty() || extras_->stale > 0;
  flush();
  engine_.settle();
}

void LiveConnection::serve_backlogs() noexcept {
  std::vector<Backlog>& backlogs = extras_->backlogs;
  bool goes_on = true;
  std::erase_if(backlogs, [&](Backlog& backlog) {
    if (backlog.asks || !goes_on) return false;
    goes_on = send_backlog(backlog);
    return goes_on;
  });
  // Many subscriptions may have begun in one turn, and their room would stay for good.
  if (backlogs.empty()) backlogs = std::vector<Backlog>();
}

// Returns whether all is queued. A history may be larger than the queue, so it goes out in parts.
bool LiveConnection::send_backlog(Backlog& backlog) noexcept {
  const auto subscription =
      std::ranges::find(extras_->subscriptions, backlog.topic, &Subscription::topic);
  Entry& entry = backlog.topic->entries[subscription->index];
  do {
    if (!send_kept(backlog, entry)) return false;
  } while (engine_.is_open() && read_on(backlog, entry));
  entry.state = Entry::State::live;
  return true;
}

// Returns whether all of Backlog::kept is queued.
bool LiveConnection::send_kept(Backlog& backlog, Entry& entry) noexcept {
  for (; backlog.next < backlog.kept.size(); ++backlog.next) {
    const topics::Kept& kept = backlog.kept[backlog.next];
    const std::size_t bytes = kept.message.message().size();
    if (engine_.is_crowded(bytes, engine_.limits().high_water_bytes)) {
      flush();
      if (engine_.is_crowded(bytes, engine_.limits().high_water_bytes)) return false;
    }
    if (!pass(kept.message, kept.compress)) skip(entry);
  }
  return true;
}

// All of Backlog::kept is queued. Puts what follows there: the next part of the history, then the
// publications after it. Returns false if nothing follows, or if the connection fails.
bool LiveConnection::read_on(Backlog& backlog, Entry& entry) noexcept {
  backlog.kept.clear();
  backlog.next = backlog.kept_bytes = 0;
  if (backlog.rest == 0) {
    backlog.kept.swap(backlog.grown);
    backlog.kept_bytes = std::exchange(backlog.grown_bytes, 0);
    return !backlog.kept.empty();
  }
  try {
    backlog.kept =
        backlog.topic->topic->read_history(backlog.rest, backlog.rest_last, part_of_history);
  } catch (const std::bad_alloc&) {
    engine_.fail(Errc::no_memory);
    return false;
  }
  // The history drops old publications and does not wait for the subscriber.
  const bool is_lost = backlog.kept.empty();
  const std::uint64_t first = is_lost ? backlog.rest_last + 1 : backlog.kept.front().offset;
  if (first > backlog.rest) lose(entry, first - backlog.rest);
  const std::uint64_t next = is_lost ? first : backlog.kept.back().offset + 1;
  backlog.rest = next <= backlog.rest_last ? next : 0;
  for (const topics::Kept& each : backlog.kept) {
    backlog.kept_bytes += topics::History::weight_of(each.message);
  }
  return engine_.is_open();
}

// Delivery::latest: sends the newest publication of each topic, while the socket takes them. It
// begins where it stopped, so that a topic that is stale each time does not keep the others back.
void LiveConnection::serve_stale() noexcept {
  const std::size_t count = extras_->subscriptions.size();
  for (std::size_t i = 0; i < count && extras_->stale > 0; ++i, ++extras_->next_stale) {
    if (extras_->next_stale >= count) extras_->next_stale = 0;
    const Subscription& each = extras_->subscriptions[extras_->next_stale];
    LocalTopic& topic = *each.topic;
    Entry& entry = topic.entries[each.index];
    if (entry.state != Entry::State::stale) continue;
    if (engine_.queued_bytes() > newest_at_once) flush();
    if (blocked_ != Blocked::no) return;
    const Arrival& newest = topic.newest_of_all();
    if (!is_own(newest) && !pass(newest.message, newest.compress)) skip(entry);
    entry.cursor = std::max(entry.cursor, newest.offset);
    entry.state = Entry::State::live;
    --extras_->stale;
    topic.remove_stale();
  }
}

// The subscription changes from Delivery::latest to every. The newest publication begins a backlog,
// so that all later ones follow it. Throws std::bad_alloc and then does nothing.
void LiveConnection::hold_newest(LocalTopic& topic, Entry& entry) {
  const Arrival& newest = topic.newest_of_all();
  Backlog backlog{.topic = &topic};
  if (!is_own(newest)) {
    backlog.kept.push_back({newest.message, newest.offset, {}, newest.compress});
    backlog.kept_bytes = topics::History::weight_of(newest.message);
  }
  extras_->backlogs.push_back(std::move(backlog));
  entry.cursor = std::max(entry.cursor, newest.offset);
  entry.state = Entry::State::held;
  --extras_->stale;
  topic.remove_stale();
}

// Tells the session which topics have a gap. It may subscribe and unsubscribe meanwhile: the last
// subscription then takes the place of the one that ended, so the loop goes from the last to the
// first and leaves none out. The session may also publish and send so much that there are new gaps.
// They are reported when the queue is short again, so it cannot keep the loop to itself.
void LiveConnection::report_gaps() noexcept {
  const SessionType* const type = session_.type();
  for (std::size_t i = extras_->subscriptions.size(); i-- > 0 && engine_.is_open();) {
    if (i >= extras_->subscriptions.size()) continue;
    Subscription& subscription = extras_->subscriptions[i];
    const std::uint32_t missed = std::exchange(subscription.missed, 0);
    if (missed == 0 || type == nullptr || type->on_gap == nullptr) continue;
    const topics::TopicRef topic = subscription.topic->topic;
    const bool fine = call_application(
        "on_gap", [&] { type->on_gap(session_.get(), *this, topic->name(), missed); });
    if (!fine) engine_.fail(Errc::handler_threw);
  }
}

}  // namespace tern::connection
