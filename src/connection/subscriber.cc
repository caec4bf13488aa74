// A connection as a subscriber of topics. Publications come from the fan-out of its worker, outside
// of the connection's turns, and are written at once. So a connection that takes them keeps no
// memory for them, and only the others have work at the end of the turn.
//
// The publications of a subscription that has just begun wait in its Backlog until the handler that
// subscribed has returned. Until a backlog is sent, later publications join it.
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"
#include "connection/publishing.h"
#include "net/socket.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace tern {
namespace connection {
namespace {

using topics::Arrival;

// Returns the oldest pending publication after `cursor`; null if there is none.
Arrival* first_after(const topics::ArrivalList& pending, std::uint64_t cursor) noexcept {
  Arrival* first = nullptr;
  for (Arrival* at = pending.back(); at != nullptr && at->offset > cursor; at = at->previous) {
    first = at;
  }
  return first;
}

}  // namespace

// The place in the registry in one word.
std::uint64_t LiveConnection::place_word() const noexcept {
  const Registry::Place own = place();
  return std::uint64_t{own.generation} << 32 | own.slot;
}

bool LiveConnection::is_own(const Arrival& arrival) const noexcept {
  return arrival.source != topics::Source::none && arrival.source == place_word();
}

Extras& LiveConnection::make_extras() {
  if (!extras_) extras_.reset(new Extras);
  return *extras_;
}

void DeleteExtras::operator()(Extras* extras) const noexcept { delete extras; }

// ---- calls of the application

// Returns the index among the subscriptions; their number if there is none.
std::size_t LiveConnection::find_subscription(const topics::TopicState& topic) const noexcept {
  const LocalTopic* const local = environment_->shared.fanout->find(topic);
  const auto& all = extras_->subscriptions;
  const auto found = std::ranges::find(
      all, local, [](const Subscription& each) -> const LocalTopic* { return each.topic; });
  return local == nullptr ? all.size() : static_cast<std::size_t>(found - all.begin());
}

Result<Subscribed> LiveConnection::subscribe(std::string_view name,
                                             SubscribeOptions options) noexcept {
  begin_call();
  Fanout* const fanout = environment_->shared.fanout;
  if (fanout == nullptr) return Errc::topics_unavailable;
  if (!engine_.is_open()) return Errc::closed;
  const topics::Found found = fanout->table().get(name);
  if (found.error) return Error(found.error);
  try {
    return subscribe_to(*fanout, found.topic, options);
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

Result<Subscribed> LiveConnection::subscribe_to(Fanout& fanout, const topics::TopicRef& topic,
                                                SubscribeOptions options) {
  Extras& extras = make_extras();
  const std::size_t index = find_subscription(*topic);
  const bool exists = index < extras.subscriptions.size();
  if (exists && options.from.kind() == From::Kind::now) {  // it goes on where it is
    const Subscription& subscription = extras.subscriptions[index];
    Entry& entry = subscription.topic->entries[subscription.index];
    entry.delivery = options.delivery;
    if (options.delivery == Delivery::latest) limit_unsent();
    return Subscribed{.epoch = topic->position().epoch, .offset = entry.cursor};
  }
  if (exists) fanout.remove(extras, index);
  if (extras.subscriptions.size() >= fanout.table().limits().max_subscriptions) {
    return Errc::too_many_subscriptions;
  }
  const topics::Beginning beginning = fanout.add(topic, *this, extras, options);
  if (options.from.kind() == From::Kind::position) {
    Metrics& metrics = fanout.metrics();
    (beginning.subscribed.recovered ? metrics.topic_recovered : metrics.topic_recover_failed).add();
  }
  if (options.delivery == Delivery::latest) limit_unsent();
  waits_ = true;
  defer_to_turn_end();
  return beginning.subscribed;
}

void LiveConnection::limit_unsent() noexcept {
  const std::size_t most = environment_->shared.fanout->table().limits().latest_unsent_bytes;
  if (most > 0) net::set_unsent_limit(transport_->fd(), most);
}

// The publications before this call still reach the peer, as far as its queue takes them.
bool LiveConnection::unsubscribe(std::string_view name) noexcept {
  begin_call();
  if (!extras_ || extras_->subscriptions.empty()) return false;
  Fanout& fanout = *environment_->shared.fanout;
  const topics::TopicRef topic = fanout.table().find(name);
  if (!topic) return false;
  const std::size_t index = find_subscription(*topic);
  if (index == extras_->subscriptions.size()) return false;
  if (fanout.busy()) deliver_pending();
  if (waits_) serve_backlogs();
  fanout.remove(*extras_, index);
  defer_to_turn_end();
  return true;
}

PublishStatus LiveConnection::publish(std::string_view name, Message message,
                                      SendOptions options) noexcept {
  begin_call();
  Fanout* const fanout = environment_->shared.fanout;
  if (fanout == nullptr) return PublishStatus::stopped;
  const PublishStatus status = connection::publish(fanout->table(), name, message, options,
                                                   {&fanout->inbox(), place_word()});
  if (status.workers() > 0) fanout->run_soon();
  return status;
}

PublishStatus LiveConnection::publish(const Topic& topic, Message message,
                                      SendOptions options) noexcept {
  begin_call();
  Fanout* const fanout = environment_->shared.fanout;
  if (fanout == nullptr || !topic) return PublishStatus::stopped;
  const PublishStatus status =
      connection::publish(*topic.state(), message, options, {&fanout->inbox(), place_word()});
  if (status.workers() > 0) fanout->run_soon();
  return status;
}

// ---- publications

// Queues one message. Returns false if it was skipped, because the queue is full.
bool LiveConnection::pass(const SharedMessage& message, bool compress) noexcept {
  make_room(message.message().size());
  const SendStatus status = engine_.send(message, {.compress = compress, .check_text = false});
  if (status == SendStatus::full) [[unlikely]] {
    congested_ = true;
    return false;
  }
  if (!status) return true;  // it ends, and nothing follows
  if (status == SendStatus::congested) congested_ = true;
  environment_->metrics.messages_sent.add();
  environment_->metrics.topic_deliveries.add();
  return true;
}

// Queues the pending publications of one topic, up to the number `last`.
[[gnu::hot]] void LiveConnection::take_publications(LocalTopic& topic, Entry& entry,
                                                    std::uint64_t last) noexcept {
  Arrival* at = first_after(topic.pending, entry.cursor);
  if (at == nullptr) return;
  const std::uint64_t head = topic.pending.back()->offset;
  if (!engine_.is_open()) [[unlikely]] {
    entry.cursor = head;
    return;
  }
  if (entry.state != Entry::State::live) [[unlikely]]
    return hold(topic, entry, *at);
  if (entry.delivery == Delivery::latest) {
    if (blocked_ != Blocked::no) return become_stale(topic, entry, *at);
    for (; at->next != nullptr; at = at->next) environment_->metrics.topic_conflated.add();
    last = at->number;
  }
  for (; at != nullptr && at->number <= last; at = at->next) {
    entry.cursor = at->offset;
    if (is_own(*at)) continue;
    if (!pass(at->message, at->compress)) skip(entry);
  }
}

// A publication was skipped. on_gap follows when the queue is short.
[[gnu::cold]] void LiveConnection::skip(const Entry& entry) noexcept {
  ++extras_->subscriptions[entry.back].missed;
  environment_->metrics.topic_skipped.add();
}

// Delivery::latest: the peer is slow, so the newest publication waits with the topic.
[[gnu::cold]] void LiveConnection::become_stale(LocalTopic& topic, Entry& entry,
                                                const Arrival& first) noexcept {
  for (const Arrival* at = first.next; at != nullptr; at = at->next) {
    environment_->metrics.topic_conflated.add();
  }
  entry.state = Entry::State::stale;
  entry.cursor = topic.pending.back()->offset;
  ++topic.stale;
  ++extras_->stale;
  waits_ = true;
}

// Publications of a subscription that is not live.
[[gnu::cold]] void LiveConnection::hold(LocalTopic& topic, Entry& entry,
                                        const Arrival& first) noexcept {
  entry.cursor = topic.pending.back()->offset;
  if (entry.state == Entry::State::stale) {  // each replaces the one before
    for (const Arrival* at = &first; at != nullptr; at = at->next) {
      environment_->metrics.topic_conflated.add();
    }
    return;
  }
  for (const Arrival* at = &first; at != nullptr && engine_.is_open(); at = at->next) {
    if (!is_own(*at)) add_to_backlog(topic, entry, *at);
  }
}

void LiveConnection::add_to_backlog(LocalTopic& topic, Entry& entry,
                                    const Arrival& arrival) noexcept {
  Backlog& backlog = *std::ranges::find(extras_->backlogs, &topic, &Backlog::topic);
  if (entry.delivery == Delivery::latest) {
    environment_->metrics.topic_conflated.add(backlog.kept.size() - backlog.next);
    backlog.kept.clear();
    backlog.next = backlog.grown = 0;
  }
  const std::size_t most = engine_.limits().max_queued_bytes;
  if (backlog.grown > most - std::min(most, arrival.bytes())) {
    if (engine_.limits().overflow == Overflow::reject) {
      congested_ = true;
      return skip(entry);
    }
    return engine_.fail(Errc::peer_too_slow);
  }
  try {
    backlog.kept.push_back({arrival.message, arrival.offset, {}, arrival.compress});
    backlog.grown += arrival.bytes();
  } catch (const std::bad_alloc&) {
    engine_.fail(Errc::no_memory);
  }
}

// Queues what is pending for all subscriptions, up to the number `last`, in the order in which it
// reached the worker.
void LiveConnection::take_all_publications(std::uint64_t last) noexcept {
  constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
  for (;;) {
    Subscription* best = nullptr;
    std::uint64_t first = none;
    std::uint64_t second = none;
    for (Subscription& each : extras_->subscriptions) {
      const Arrival* const at =
          first_after(each.topic->pending, each.topic->entries[each.index].cursor);
      if (at == nullptr) continue;
      if (at->number < first) {
        second = first;
        first = at->number;
        best = &each;
      } else {
        second = std::min(second, at->number);
      }
    }
    if (best == nullptr || first > last) return;
    take_publications(*best->topic, best->topic->entries[best->index], std::min(second - 1, last));
  }
}

// What was published before a call reaches the peer before the message of that call.
[[gnu::cold]] void LiveConnection::deliver_pending() noexcept {
  Fanout& fanout = *environment_->shared.fanout;
  fanout.take_arrivals();
  if (extras_->delivered == fanout.last_arrival()) return;
  extras_->delivered = fanout.last_arrival();
  take_all_publications(fanout.last_arrival());
}

[[gnu::hot]] void LiveConnection::deliver(LocalTopic& topic, Entry& entry) noexcept {
  if (!engine_.is_open()) [[unlikely]] {
    entry.cursor = topic.pending.back()->offset;
    return;
  }
  begin_call();
  const std::uint64_t last = topic.last().number;
  if (environment_->shared.fanout->has_several_jobs() && extras_->subscriptions.size() > 1) {
    take_all_publications(last);
  } else {
    take_publications(topic, entry, last);
  }
  flush();
  engine_.settle();
  const bool took_all = engine_.is_open() && engine_.queued_bytes() == 0 && !congested_ &&
                        !read_ended_ && !transport_->has_unsent();
  if (!took_all) environment_->core.defer(*this);
}

void LiveConnection::leave_topics() noexcept {
  if (!extras_) return;
  waits_ = false;
  while (!extras_->subscriptions.empty()) {
    environment_->shared.fanout->remove(*extras_, extras_->subscriptions.size() - 1);
  }
}

}  // namespace connection

namespace {

connection::LiveConnection& live(Connection& connection) noexcept {
  return static_cast<connection::LiveConnection&>(connection);
}

}  // namespace

SubscribeResult Connection::subscribe(std::string_view topic, SubscribeOptions options) noexcept {
  return live(*this).subscribe(topic, options);
}
bool Connection::unsubscribe(std::string_view topic) noexcept {
  return live(*this).unsubscribe(topic);
}
PublishStatus Connection::publish(std::string_view topic, Message message,
                                  SendOptions options) noexcept {
  return live(*this).publish(topic, message, options);
}
PublishStatus Connection::publish(const Topic& topic, Message message,
                                  SendOptions options) noexcept {
  return live(*this).publish(topic, message, options);
}

}  // namespace tern
