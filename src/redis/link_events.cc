// Takes the answers and the notifications of a server.
//
// A publication and the answer to a question for the history of its topic come over different
// connections. A notification that comes after the question waits until the answer was delivered:
// either the answer has it, or it follows. So one question heals a hole also while publications
// come all the time.
#include "redis/envelope.h"
#include "redis/link.h"

#include <algorithm>
#include <utility>

namespace tern::redis {
namespace {

// The link reads so often before it looks at commands again. That takes about a millisecond.
constexpr int max_reads = 64;

constexpr std::size_t max_held_bytes = std::size_t{8} << 20;

// These errors say that another server, or another connection, is better.
bool ends_connection(std::string_view error) noexcept {
  constexpr std::string_view starts[] = {"NOSCRIPT", "READONLY", "LOADING", "MASTERDOWN", "NOAUTH"};
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
      gate_.confirm(commands_.output());
      break;
    case Push::Kind::error:
      return Error::described(std::make_error_code(std::errc::permission_denied),
                              std::string("it refuses a subscription: ").append(push.payload));
    case Push::Kind::unsubscribed:
    case Push::Kind::pong:
    case Push::Kind::other:
      break;
  }
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

// Returns whether the notification waits, or is dropped because the server asks again.
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
      if (auto done = on_answer(**reply); !done) return done;
    }
    if (!*more) break;
  }
  return {};
}

Result<void> Link::on_answer(const redisReply& reply) {
  answered_at_ = Clock::now();
  if (expected_.empty()) {
    return Error::described(std::make_error_code(std::errc::protocol_error),
                            "it sent an answer without a command");
  }
  const Expected expected = std::move(expected_.front());
  expected_.pop_front();
  if (expected.kind == Expected::Kind::history) {
    on_history(expected.topic, reply);
  } else if (is_error(reply)) {
    echoes_.remove(expected.echo);
    tell_refused(text_of(reply));
  }
  if (!is_error(reply) || !ends_connection(text_of(reply))) return {};
  return Error::described(std::make_error_code(std::errc::connection_refused), text_of(reply));
}

void Link::on_history(const std::string& topic, const redisReply& reply) {
  const auto part = parse_part(reply);
  if (part) {
    std::vector<BridgedPublication> publications;
    publications.reserve(part->entries.size());
    for (const Entry& entry : part->entries) {
      const Opened opened = open_envelope(entry.bytes);
      publications.push_back({opened.message, opened.origin});
    }
    events_->on_history(topic, {.known = true, .last = part->last, .publications = publications});
  } else {
    events_->log(LogLevel::error, std::string("redis: no history: ").append(text_of(reply)));
    events_->on_history(topic, {});
  }
  const auto found = asked_.find(topic);
  if (found == asked_.end() || --found->second.questions > 0) return;
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  held_bytes_ -= asked.bytes;
  for (const Held& held : asked.held) deliver(topic, held.position, held.bytes);
}

// The first refusal is logged, and then each time that their number has doubled.
void Link::tell_refused(std::string_view why) {
  ++refused_;
  if ((refused_ & (refused_ - 1)) != 0) return;
  events_->log(LogLevel::error, "redis: the server refuses publications (" +
                                    std::to_string(refused_) + " so far): " + std::string(why));
}

}  // namespace tern::redis
