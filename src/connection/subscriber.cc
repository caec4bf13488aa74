// The calls of the application that concern topics.
//
// The publications of a subscription that has just begun wait in its Backlog until the handler that
// subscribed has returned. Until a backlog is sent, later publications join it.
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"
#include "connection/publishing.h"
#include "net/socket.h"

#include <algorithm>
#include <new>
#include <optional>
#include <vector>

namespace tern {
namespace connection {

// The place in the registry in one word. A bridge sends it to a broker and back together with the
// number of the worker. So it has 24 bits of the generation; no publication is on its way for so
// long that they repeat.
std::uint64_t LiveConnection::place_word() const noexcept {
  constexpr std::uint32_t generations = 0xFFFFFF;
  const Registry::Place own = place();
  return std::uint64_t{own.generation & generations} << 32 | own.slot;
}

bool LiveConnection::is_own(const topics::Arrival& arrival) const noexcept {
  return arrival.source != topics::Source::none && arrival.source == place_word();
}

Extras& LiveConnection::make_extras() {
  if (!extras_) extras_.reset(new Extras);
  return *extras_;
}

void DeleteExtras::operator()(Extras* extras) const noexcept { delete extras; }

// The form is made with the window of the options. A connection that agreed on a smaller one cannot
// take it.
bool LiveConnection::shares_compression() const noexcept {
  const std::optional<DeflateAgreement> agreed = engine_.deflate();
  const std::optional<Deflate>& options = environment_->shared.options.deflate;
  return agreed && !agreed->takeover && options && agreed->window_bits != 0 &&
         agreed->window_bits >= std::clamp(options->window_bits, 9, 15);
}

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
    const bool is_stale = entry.state == Entry::State::stale;
    if (is_stale && options.delivery == Delivery::every) hold_newest(*subscription.topic, entry);
    entry.delivery = options.delivery;
    if (options.delivery == Delivery::latest) limit_unsent();
    const Position at = topic->position_of(entry.cursor);
    Subscribed subscribed{.epoch = at.epoch, .offset = at.offset};
    if (topic->bridged() != nullptr) [[unlikely]]
      wait_for_position(*topic, entry, subscribed);
    return subscribed;
  }
  if (!exists && extras.subscriptions.size() >= fanout.table().limits().max_subscriptions) {
    return Errc::too_many_subscriptions;
  }
  const std::size_t most = engine_.limits().max_queued_bytes;
  const std::size_t room = most - std::min(most, extras.kept_bytes());
  topics::Beginning beginning = exists ? fanout.renew(extras, index, options, room)
                                       : fanout.add(topic, *this, extras, options, room);
  waits_ = true;
  defer_to_turn_end();
  if (options.delivery == Delivery::latest) limit_unsent();
  if (beginning.asks) [[unlikely]] {
    beginning.subscribed = ask_for_history(*topic, options);
    if (beginning.subscribed.pending) return beginning.subscribed;
  }
  if (topic->bridged() != nullptr) [[unlikely]] {
    const Subscription& begun = extras.subscriptions[find_subscription(*topic)];
    Entry& entry = begun.topic->entries[begun.index];
    const bool is_last = options.from.kind() == From::Kind::last;
    if (options.from.kind() == From::Kind::now || (is_last && options.from.count() == 0)) {
      wait_for_position(*topic, entry, beginning.subscribed);
    } else {
      topic->bridged()->outlet.ask_number(*topic);
    }
  }
  if (options.from.kind() == From::Kind::position) {
    Metrics& metrics = fanout.metrics();
    (beginning.subscribed.recovered ? metrics.topic_recovered : metrics.topic_recover_failed).add();
  }
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
  std::vector<Backlog>& backlogs = extras_->backlogs;
  const auto backlog =
      std::ranges::find(backlogs, extras_->subscriptions[index].topic, &Backlog::topic);
  if (backlog != backlogs.end() && !backlog->asks) send_backlog(*backlog);
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
