// A publication is checked and encoded before the topic is locked. Only the position of a formatted
// one is not known before. So it is encoded for the position that comes next, and again if another
// publication took that position first. A publisher that has lost a position takes the topic's
// turn, and all others then wait for it. So each other thread is faster at most twice, also if it
// publishes without end.
#include "connection/publishing.h"

#include "engine/encoded_message.h"
#include "engine/text.h"

#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace tern {
namespace connection {
namespace {

using topics::TopicState;

// The broker may have bytes that are no text.
Message sendable(Message message) noexcept {
  return engine::is_valid_text(message) ? message : Message(MessageType::binary, message.bytes());
}

PublishStatus publish_encoded(TopicState& topic, const SharedMessage& shared, SendOptions options,
                              const topics::Source& source) noexcept {
  if (options.check_text && !engine::is_sendable(shared)) return PublishStatus::not_utf8;
  if (options.compress && topic.sharers() > 0) topic.table().compress(shared);
  return *topic.publish({shared, source, options.compress}, std::nullopt);
}

// Throws the exceptions of the application's function.
PublishStatus publish_formatted(TopicState& topic, Message message, SendOptions options,
                                const topics::Source& source) {
  const TopicOptions& rules = topic.options();
  topics::FormatTurn turn(*topic.formatting());
  for (;; turn.take()) {
    Position next = topic.position();
    ++next.offset;
    const std::string payload = rules.format({topic.name(), next, message});
    if (payload.size() > topic.table().max_message_bytes()) return PublishStatus::too_big;
    const SharedMessage shared(Message(message.type(), payload));
    if (options.check_text && !engine::is_sendable(shared)) return PublishStatus::not_utf8;
    if (options.compress && topic.sharers() > 0) topic.table().compress(shared);
    if (const auto status = topic.publish({shared, source, options.compress}, next)) return *status;
  }
}

// The message in either form is used; `shared` may be null.
PublishStatus publish_here(TopicState& topic, Message message, const SharedMessage* shared,
                           SendOptions options, const topics::Source& source) noexcept {
  if (topic.table().closed()) return PublishStatus::stopped;
  if (message.size() > topic.table().max_message_bytes()) return PublishStatus::too_big;
  try {
    if (topic.options().format) return publish_formatted(topic, message, options, source);
    if (shared != nullptr) return publish_encoded(topic, *shared, options, source);
    if (topic.subscribers() == 0 && (!options.check_text || engine::is_valid_text(message))) {
      if (const auto status = topic.publish_unheard()) return *status;
    }
    return publish_encoded(topic, SharedMessage(message), options, source);
  } catch (const std::exception&) {  // memory is out, or the application's function threw
    return PublishStatus::full;
  } catch (...) {
    return PublishStatus::full;
  }
}

PublishStatus counted(topics::Table& table, PublishStatus status) noexcept {
  table.count(status);
  return status;
}

PublishStatus::Value status_of(std::error_code error) noexcept {
  if (error == Errc::topic_invalid) return PublishStatus::name_invalid;
  return error == Errc::too_many_topics ? PublishStatus::too_many : PublishStatus::full;
}

PublishStatus publish_named_here(topics::Table& table, std::string_view name, Message message,
                                 const SharedMessage* shared, SendOptions options,
                                 const topics::Source& source) noexcept {
  const topics::Found found = table.find_to_publish(name);
  if (found.error) return status_of(found.error);
  if (found.topic) return publish_here(*found.topic, message, shared, options, source);
  if (message.size() > table.max_message_bytes()) return PublishStatus::too_big;
  const bool valid = !options.check_text || (shared != nullptr ? engine::is_sendable(*shared)
                                                               : engine::is_valid_text(message));
  return valid ? PublishStatus::nobody : PublishStatus::not_utf8;
}

// The topic has an outlet. It is not needed for a publication that goes to a broker.
[[gnu::cold]] PublishStatus publish_out(topics::Table& table, topics::Outlet& outlet,
                                        std::string_view name, Message message,
                                        const SharedMessage* shared, SendOptions options,
                                        const topics::Source& source) noexcept {
  if (!is_topic_name(name)) return PublishStatus::name_invalid;
  if (message.size() > table.max_message_bytes()) return PublishStatus::too_big;
  try {
    const SharedMessage out = shared != nullptr ? *shared : SharedMessage(message);
    if (options.check_text && !engine::is_sendable(out)) return PublishStatus::not_utf8;
    PublishStatus here = PublishStatus::nobody;
    if (outlet.is_local_first()) {
      here = publish_named_here(table, name, out.message(), &out, options, source);
      if (!here) return here;
    }
    const std::optional<PublishStatus> sent = outlet.publish(name, out, source);
    if (outlet.is_local_first()) {
      if (!sent || *sent) return here;
      return PublishStatus(PublishStatus::bridge_down, here.workers(), here.position());
    }
    if (sent) return *sent;
    return publish_named_here(table, name, out.message(), &out, options, source);
  } catch (const std::bad_alloc&) {
    return PublishStatus::full;
  }
}

PublishStatus publish_any(TopicState& topic, Message message, const SharedMessage* shared,
                          SendOptions options, const topics::Source& source) noexcept {
  if (topic.bridged() != nullptr) [[unlikely]] {
    if (topic.table().closed()) return PublishStatus::stopped;
    return publish_out(topic.table(), topic.bridged()->outlet, topic.name(), message, shared,
                       options, source);
  }
  return publish_here(topic, message, shared, options, source);
}

PublishStatus publish_named(topics::Table& table, std::string_view name, Message message,
                            const SharedMessage* shared, SendOptions options,
                            const topics::Source& source) noexcept {
  if (table.closed()) return PublishStatus::stopped;
  if (topics::Outlet* const outlet = table.outlet_of(name)) [[unlikely]] {
    return counted(table, publish_out(table, *outlet, name, message, shared, options, source));
  }
  return counted(table, publish_named_here(table, name, message, shared, options, source));
}

// Throws the exceptions of the application's function.
topics::Placed place_formatted(TopicState& topic, Message message, const topics::Source& source,
                               std::optional<Position> at) {
  topics::FormatTurn turn(*topic.formatting());
  for (;; turn.take()) {
    Position next = at ? *at : topic.position();
    if (!at) ++next.offset;
    const SharedMessage shared = format(topic, message, next);
    if (topic.sharers() > 0) topic.table().compress(shared);
    if (at) return topic.place({shared, source}, at);
    const auto status = topic.publish({shared, source}, next);
    if (status) return *status ? topics::Placed::published : topics::Placed::full;
  }
}

}  // namespace

SharedMessage format(TopicState& topic, Message message, Position at) {
  const Message valid = sendable(message);
  if (!topic.options().format) return SharedMessage(valid);
  const std::string payload = topic.options().format({topic.name(), at, valid});
  return SharedMessage(sendable(Message(valid.type(), payload)));
}

PublishStatus publish(topics::Table& table, std::string_view name, Message message,
                      SendOptions options, const topics::Source& source) noexcept {
  return publish_named(table, name, message, nullptr, options, source);
}

PublishStatus publish(topics::Table& table, std::string_view name, const SharedMessage& message,
                      SendOptions options) noexcept {
  return publish_named(table, name, message.message(), &message, options, {});
}

PublishStatus publish(TopicState& topic, Message message, SendOptions options,
                      const topics::Source& source) noexcept {
  return counted(topic.table(), publish_any(topic, message, nullptr, options, source));
}

topics::Placed publish_from_outlet(TopicState& topic, Message message, const topics::Source& source,
                                   std::optional<Position> at) noexcept {
  try {
    const Message valid = sendable(message);
    if (topic.options().format) return place_formatted(topic, valid, source, at);
    const SharedMessage shared(valid);
    if (topic.sharers() > 0) topic.table().compress(shared);
    return topic.place({shared, source}, at);
  } catch (const std::exception&) {  // memory is out, or the application's function threw
    return topics::Placed::full;
  } catch (...) {
    return topics::Placed::full;
  }
}

}  // namespace connection

// ---- the handle

Topic::Topic(const Topic& other) noexcept : table_(other.table_), state_(other.state_) {
  if (state_ != nullptr) state_->retain();
}

Topic::Topic(Topic&& other) noexcept
    : table_(std::move(other.table_)), state_(std::exchange(other.state_, nullptr)) {}

Topic& Topic::operator=(Topic other) noexcept {
  table_.swap(other.table_);
  std::swap(state_, other.state_);
  return *this;
}

Topic::~Topic() {
  if (state_ != nullptr) table_->release(*state_);
}

PublishStatus Topic::publish(Message message, SendOptions options) const noexcept {
  if (state_ == nullptr) return PublishStatus::stopped;
  return connection::publish(*state_, message, options);
}

PublishStatus Topic::publish(const SharedMessage& message, SendOptions options) const noexcept {
  if (state_ == nullptr) return PublishStatus::stopped;
  return connection::counted(
      *table_, connection::publish_any(*state_, message.message(), &message, options, {}));
}

std::size_t Topic::subscribers() const noexcept {
  return state_ != nullptr ? state_->subscribers() : 0;
}

Position Topic::position() const noexcept {
  return state_ != nullptr ? state_->position() : Position();
}

std::string_view Topic::name() const noexcept {
  return state_ != nullptr ? state_->name() : std::string_view();
}

}  // namespace tern
