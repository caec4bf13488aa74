// Takes the answers and the notifications of a server.
//
// A publication and the answer to a question for the history of its topic come over different
// connections. So a notification that comes after the question waits, and the answer waits for a
// pong on the connection of the notifications. Then the notifications that the answer counts are
// delivered, the answer, and those behind it. So one question heals a hole also while publications
// come all the time, and a subscriber that came meanwhile misses none of them.
#include "redis/command.h"
#include "redis/envelope.h"
#include "redis/link.h"
#include "redis/script.h"

#include <algorithm>
#include <utility>

namespace tern::redis {
namespace {

// The link reads so often before it looks at commands again. That takes about a millisecond.
constexpr int max_reads = 64;

constexpr std::size_t max_held_bytes = std::size_t{8} << 20;
// Of answers that wait for their pong. An answer beyond it is none.
constexpr std::size_t max_answered_bytes = std::size_t{64} << 20;

// The ping behind which an answer may be told. Link::ping() sends one without text.
constexpr std::string_view history_ping = "history";

// These errors say that another server, or another connection, is better.
bool ends_connection(std::string_view error) noexcept {
  constexpr std::string_view starts[] = {"READONLY", "LOADING", "MASTERDOWN", "NOAUTH"};
  return std::ranges::any_of(starts,
                             [&](std::string_view start) { return error.starts_with(start); });
}

}  // namespace

// ---- notifications

Result<void> Link::read_pushes() {
  for (int i = 0; i < max_reads; ++i) {
    const auto more = subscriber_.read();
    if (!more) return more.error();
    events_->on_alive();
    for (;;) {
      auto reply = subscriber_.next();
      if (!reply) return reply.error();
      if (*reply == nullptr) break;
      if (auto done = on_push(**reply); !done) return done;
    }
    if (!*more) break;
  }
  return {};
}

Result<void> Link::on_push(const redisReply& reply) {
  const Push push = parse_push(reply);
  switch (push.kind) {
    case Push::Kind::message:
      if (push.channel == probe_channel_) {
        events_->on_probe();
      } else if (push.channel.starts_with(settings_.prefix)) {
        on_message(push.channel.substr(settings_.prefix.size()), push.payload);
      }
      break;
    case Push::Kind::subscribed:
      on_subscribed();
      break;
    case Push::Kind::error:
      return on_subscriber_error(push.payload);
    case Push::Kind::pong:
      if (push.payload == history_ping) on_history_pong();
      break;
    case Push::Kind::unsubscribed:
    case Push::Kind::other:
      break;
  }
  return {};
}

void Link::on_subscribed() {
  gate_.confirm(commands_.output());
  if (subscribing_.empty()) return;
  Subscribing& first = subscribing_.front();
  if (++first.confirmed == first.topics.size()) subscribing_.pop_front();
}

// The user has no right to one of the channels, and the server has subscribed none of this command.
// So each topic is subscribed alone, and only those that are refused then have nothing.
Result<void> Link::on_subscriber_error(std::string_view why) {
  const bool is_of_channel = why.starts_with("NOPERM") && why.find("channel") != why.npos;
  if (!is_of_channel || subscribing_.empty()) {
    return Error::described(std::make_error_code(std::errc::permission_denied),
                            std::string("it refuses a subscription: ").append(why));
  }
  const Subscribing refused = std::move(subscribing_.front());
  subscribing_.pop_front();
  if (refused.topics.size() > 1) {
    for (const std::string& topic : refused.topics) send_subscribe({topic});
    return {};
  }
  const std::string& topic = refused.topics.front();
  echoes_.unwant(topic);  // they do not come back
  gate_.confirm(commands_.output());
  events_->log(LogLevel::error, "redis: the server refuses the subscription of the topic \"" +
                                    topic + "\": " + std::string(why));
  events_->on_gap(topic, GapCause::lost);
  return {};
}

void Link::on_message(std::string_view topic, std::string_view payload) {
  if (!settings_.history) return deliver(topic, {}, payload);
  const auto notification = parse_notification(payload);
  if (notification) {
    if (!hold(topic, notification->position, notification->bytes)) {
      deliver(topic, notification->position, notification->bytes);
    }
  } else if (!std::exchange(told_foreign_, true)) {
    events_->log(LogLevel::warning,
                 "redis: a publication of another program is dropped, because "
                 "the bridge is durable and it has no position");
  }
}

void Link::deliver(std::string_view topic, const std::optional<Position>& position,
                   std::string_view bytes) {
  Opened opened = open_envelope(bytes);
  if (!has_envelope()) opened = {Message(bytes), echoes_.take(topic, bytes)};
  events_->on_publication(topic, opened.message, opened.origin, position);
}

// Returns whether the notification waits, or is dropped and will be a gap.
bool Link::hold(std::string_view topic, const Position& position, std::string_view bytes) {
  if (asked_.empty()) return false;
  const auto found = asked_.find(topic);
  if (found == asked_.end()) return false;
  Asked& asked = found->second;
  const std::size_t weight = bytes.size() + sizeof(Held);
  if (asked.is_full || held_bytes_ + weight > max_held_bytes) {
    asked.is_full = true;
    return true;
  }
  asked.held.push_back({position, std::string(bytes)});
  asked.bytes += weight;
  held_bytes_ += weight;
  return true;
}

// ---- answers

Result<void> Link::read_answers() {
  for (int i = 0; i < max_reads; ++i) {
    const auto more = commands_.read();
    if (!more) return more.error();
    for (;;) {
      auto reply = commands_.next();
      if (!reply) return reply.error();
      if (*reply == nullptr) break;
      if (auto done = on_answer(*std::move(reply)); !done) return done;
    }
    if (!*more) break;
  }
  return {};
}

Result<void> Link::on_answer(Reply reply) {
  answered_at_ = Clock::now();
  if (expected_.empty()) {
    return Error::described(std::make_error_code(std::errc::protocol_error),
                            "it sent an answer without a command");
  }
  Expected expected = std::move(expected_.front());
  expected_.pop_front();
  kept_bytes_ -= expected.command.size();
  Result<void> result;
  const bool is_unknown = is_error(*reply) && text_of(*reply).starts_with("NOSCRIPT");
  if (is_unknown && !expected.command.empty() && !expected.is_repeated) {
    missed_.push_back(std::move(expected));
    kept_bytes_ += missed_.back().command.size();
    if (expected_.empty()) send_again();
    return result;
  }
  if (expected.kind == Expected::Kind::role && is_replica(*reply)) {
    return Error::described(std::make_error_code(std::errc::connection_refused),
                            "it has become a replica, which cannot publish for its primary");
  }
  if (is_unknown || (is_error(*reply) && ends_connection(text_of(*reply)))) {
    result = Error::described(std::make_error_code(std::errc::connection_refused), text_of(*reply));
  }
  if (expected.kind == Expected::Kind::history) {
    on_history(std::move(expected.topic), std::move(reply));
  } else if (is_error(*reply)) {
    echoes_.remove(expected.echo);
    tell_refused(expected, text_of(*reply));
  }
  if (expected_.empty() && !missed_.empty()) send_again();
  return result;
}

// The server lost its scripts (SCRIPT FLUSH), so it ran none of these commands. They are sent again
// when all that were sent are answered, so that they keep their order.
void Link::send_again() {
  for (const char* const script : {publish_script, read_script}) {
    send({"SCRIPT", "LOAD", script}, {.kind = Expected::Kind::other});
  }
  for (std::deque<Expected>* const waiting : {&missed_, &behind_}) {
    while (!waiting->empty()) {
      Expected next = std::move(waiting->front());
      waiting->pop_front();
      next.is_repeated = waiting == &missed_;
      const std::string command = next.command;
      pass(std::move(next), command);
    }
  }
}

// The server wrote the notifications of what the answer counts before it made the answer. But they
// come over another connection. A pong on that one is behind them.
void Link::on_history(std::string topic, Reply reply) {
  Answered answered{std::move(topic), std::move(reply), {}};
  answered.part = parse_part(*answered.reply);
  if (!answered.part) {
    events_->log(LogLevel::error,
                 std::string("redis: no history: ").append(text_of(*answered.reply)));
  }
  if (answered.part) {
    for (const Entry& entry : answered.part->entries) answered.bytes += entry.bytes.size();
  }
  if (answered_bytes_ + answered.bytes > max_answered_bytes) {
    events_->log(LogLevel::error, "redis: no history: too many answers come at once");
    answered = {std::move(answered.topic), {}, {}};
  }
  append_command(subscriber_.output(), {"PING", history_ping});
  answered_bytes_ += answered.bytes;
  answered_.push_back(std::move(answered));
}

void Link::on_history_pong() {
  if (answered_.empty()) return;  // of no ping of this connection
  const Answered answered = std::move(answered_.front());
  answered_.pop_front();
  answered_bytes_ -= answered.bytes;
  const auto found = asked_.find(answered.topic);
  if (found == asked_.end()) return tell_history(answered);
  if (answered.part) deliver_held(answered.topic, found->second, answered.part->last);
  tell_history(answered);
  if (--found->second.questions > 0) return;
  Asked asked = std::move(found->second);
  asked_.erase(found);
  deliver_held(answered.topic, asked, {});
  // The dropped ones may be the last ones for long, so nothing else would tell that they are
  // missing.
  if (asked.is_full) events_->on_gap(answered.topic, GapCause::too_slow);
}

void Link::tell_history(const Answered& answered) {
  if (!answered.part) return events_->on_history(answered.topic, {});
  const Part& part = *answered.part;
  std::vector<BridgedPublication> publications;
  publications.reserve(part.entries.size());
  for (const Entry& entry : part.entries) {
    const Opened opened = open_envelope(entry.bytes);
    publications.push_back({opened.message, opened.origin});
  }
  events_->on_history(answered.topic,
                      {.known = true, .last = part.last, .publications = publications});
}

// Delivers what waits, up to `last`; all of it without one.
void Link::deliver_held(std::string_view topic, Asked& asked, const std::optional<Position>& last) {
  std::erase_if(asked.held, [&](const Held& held) {
    const Position& at = held.position;
    if (last && (at.epoch != last->epoch || at.offset > last->offset)) return false;
    deliver(topic, at, held.bytes);
    const std::size_t weight = held.bytes.size() + sizeof(Held);
    asked.bytes -= weight;
    held_bytes_ -= weight;
    return true;
  });
}

void Link::tell_refused(const Expected& expected, std::string_view why) {
  if (expected.kind == Expected::Kind::publication) return events_->on_refused(why);
  if (std::exchange(told_refused_, true)) return;
  events_->log(LogLevel::error, "redis: the server refuses a command: " + std::string(why));
}

}  // namespace tern::redis
