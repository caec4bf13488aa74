// Subscriptions of topics that other processes share: those that wait for the history of a broker,
// and the effect of a gap.
#include "connection/extras.h"
#include "connection/fanout.h"
#include "connection/live_connection.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

namespace tern::connection {

// The caller has put the backlog of this subscription at the end of `backlogs`.
[[gnu::cold]] Subscribed LiveConnection::ask_for_history(topics::TopicState& topic,
                                                         const SubscribeOptions& options) noexcept {
  const bool has_position = options.from.kind() == From::Kind::position;
  const Position after = has_position ? options.from.position() : Position();
  Backlog& backlog = extras_->backlogs.back();
  const Position head = topic.numbered() ? topic.position_of(backlog.rest_last) : Position();
  Subscribed subscribed{.epoch = head.epoch, .offset = head.offset};
  if (topic.bridged()->outlet.ask(topic, after)) {
    if (has_position) subscribed = {.epoch = after.epoch, .offset = after.offset};
    subscribed.pending = true;
    const auto subscription =
        std::ranges::find(extras_->subscriptions, backlog.topic, &Subscription::topic);
    backlog.topic->entries[subscription->index].pending = true;
    return subscribed;
  }
  const topics::Beginning late = topic.begin_late(backlog.from, backlog.rest_last, true);
  backlog.asks = false;
  backlog.rest = late.rest;
  return late.subscribed;
}

// The subscription begins with the next publication, whose position is perhaps not known yet. It
// receives publications before it learns the position, because waiting would make them late.
[[gnu::cold]] void LiveConnection::wait_for_position(topics::TopicState& topic, Entry& entry,
                                                     Subscribed& subscribed) noexcept {
  topics::Outlet& outlet = topic.bridged()->outlet;
  outlet.ask_number(topic);
  if (!outlet.is_durable()) return;
  entry.pending = entry.pending || !topic.numbered();
  const Position at = entry.pending ? Position() : topic.position_of(entry.cursor);
  subscribed = {.epoch = at.epoch, .offset = at.offset, .pending = entry.pending};
}

[[gnu::cold]] void LiveConnection::on_history(LocalTopic& topic, bool known) noexcept {
  const auto subscription = std::ranges::find(extras_->subscriptions, &topic, &Subscription::topic);
  Entry& entry = topic.entries[subscription->index];
  const auto backlog = std::ranges::find(extras_->backlogs, &topic, &Backlog::topic);
  begin_call();
  if (backlog != extras_->backlogs.end() && backlog->asks) {
    return begin_with_history(topic, entry, *backlog, known);
  }
  topics::TopicState& state = *topic.topic;
  if (!entry.pending || !state.numbered()) return;
  entry.pending = false;
  const Position at = state.position_of(entry.cursor);
  in_call_ = true;
  tell_subscribed(state, {.epoch = at.epoch, .offset = at.offset});
  in_call_ = false;
  defer_to_turn_end();
}

void LiveConnection::begin_with_history(LocalTopic& topic, Entry& entry, Backlog& backlog,
                                        bool known) noexcept {
  constexpr std::uint8_t max_questions = 2;
  topics::TopicState& state = *topic.topic;
  const bool final = !known || backlog.questions >= max_questions;
  topics::Beginning late = state.begin_late(backlog.from, backlog.rest_last, final);
  if (late.asks) {  // the answer was for another subscriber, which wanted less or came before
    ++backlog.questions;
    if (state.bridged()->outlet.ask(state, {})) return;
    late = state.begin_late(backlog.from, backlog.rest_last, true);
  }
  backlog.asks = false;
  backlog.rest = late.rest;
  entry.pending = false;
  entry.cursor = std::max(entry.cursor, late.last);
  std::erase_if(backlog.grown, [&](const topics::Kept& kept) {  // the peer has them already
    if (kept.offset > late.last || late.last == backlog.rest_last) return false;
    backlog.grown_bytes -= topics::History::weight_of(kept.message);
    return true;
  });
  const Subscribed subscribed = late.subscribed;
  Metrics& metrics = environment_->metrics;
  if (backlog.from.kind() == From::Kind::position) {
    (subscribed.recovered ? metrics.topic_recovered : metrics.topic_recover_failed).add();
  }
  waits_ = true;
  const topics::TopicRef share = topic.topic;  // the session may unsubscribe
  in_call_ = true;
  tell_subscribed(state, subscribed);
  if (!subscribed.recovered && engine_.is_open()) {
    tell_gap(state, std::max<std::uint64_t>(subscribed.missed, 1));
  }
  in_call_ = false;
  defer_to_turn_end();
}

void LiveConnection::tell_subscribed(topics::TopicState& state,
                                     const Subscribed& subscribed) noexcept {
  const SessionType* const type = session_.type();
  if (type == nullptr || type->on_subscribed == nullptr) return;
  const topics::TopicRef topic = (state.retain(), topics::TopicRef(&state));
  const bool fine = call_application("on_subscribed", [&] {
    type->on_subscribed(session_.get(), *this, topic->name(), subscribed);
  });
  if (!fine) engine_.fail(Errc::handler_threw);
}

void LiveConnection::tell_gap(topics::TopicState& state, std::uint64_t missed) noexcept {
  const SessionType* const type = session_.type();
  if (type == nullptr || type->on_gap == nullptr) return;
  const topics::TopicRef topic = (state.retain(), topics::TopicRef(&state));
  const bool fine = call_application(
      "on_gap", [&] { type->on_gap(session_.get(), *this, topic->name(), missed); });
  if (!fine) engine_.fail(Errc::handler_threw);
}

// ---- gaps

// The session may subscribe and unsubscribe meanwhile, see report_gaps().
[[gnu::cold]] void LiveConnection::tell_bridge_gaps() noexcept {
  if (!extras_ || !engine_.is_open()) return;
  begin_call();
  in_call_ = true;
  for (std::size_t i = extras_->subscriptions.size(); i-- > 0 && engine_.is_open();) {
    if (i < extras_->subscriptions.size()) tell_bridge_gap(i);
  }
  in_call_ = false;
  defer_to_turn_end();
}

void LiveConnection::tell_bridge_gap(std::size_t index) noexcept {
  const Subscription& subscription = extras_->subscriptions[index];
  Entry& entry = subscription.topic->entries[subscription.index];
  const topics::TopicRef topic = subscription.topic->topic;
  const std::uint8_t gaps = topic->gaps();
  if (entry.gaps == gaps) return;
  entry.gaps = gaps;
  const topics::Outlet::AfterGap effect = topic->bridged()->outlet.after_gap();
  if (effect.resends_retained) {
    try {
      environment_->shared.fanout->renew(*extras_, index,
                                         {.delivery = entry.delivery, .from = From::retained}, 1);
      waits_ = true;
    } catch (const std::bad_alloc&) {
      return engine_.fail(Errc::no_memory);
    }
  }
  if (effect.closes) close_soon(effect.spread);
  tell_gap(*topic, 0);
}

// Closes the connection at a time that differs for each connection. A peer may guess the time,
// because that does no harm. Only the first gap sets the time: a random time for each gap would let
// the earliest one count, so the connections would close too soon.
void LiveConnection::close_soon(std::chrono::nanoseconds spread) noexcept {
  if (std::exchange(extras_->closes_soon, true)) return;
  static constexpr std::string_view reason = "publications are missing";
  constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15;
  const auto now = environment_->core.now().time_since_epoch().count();
  const std::uint64_t mixed = (place_word() + static_cast<std::uint64_t>(now)) * golden;
  const auto range = static_cast<std::uint64_t>(std::max<std::int64_t>(spread.count(), 1));
  try {
    start_timer(std::chrono::nanoseconds(static_cast<std::int64_t>((mixed >> 16) % range)), false,
                [](Connection& conn) { conn.close(CloseCode::service_restart, reason); });
  } catch (const std::bad_alloc&) {
    close(CloseCode::service_restart, reason);
  }
}

}  // namespace tern::connection
