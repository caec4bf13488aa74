// A publication is checked and encoded before the topic is locked. Only the position of a formatted
// one is not known before. So it is encoded for the position that comes next, and again if another
// publication took that position first. A publisher that has lost a position takes the topic's
// turn, and all others then wait for it. So each other thread is faster at most twice, also if it
// publishes without end.
#include "connection/publishing.h"

#include "engine/encoded_message.h"
#include "engine/text.h"

#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace tern {
namespace connection {
namespace {

using topics::TopicState;

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
PublishStatus publish_any(TopicState& topic, Message message, const SharedMessage* shared,
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

PublishStatus publish_named(topics::Table& table, std::string_view name, Message message,
                            const SharedMessage* shared, SendOptions options,
                            const topics::Source& source) noexcept {
  if (table.closed()) return PublishStatus::stopped;
  const topics::Found found = table.find_to_publish(name);
  if (found.error) return counted(table, status_of(found.error));
  if (found.topic) {
    return counted(table, publish_any(*found.topic, message, shared, options, source));
  }
  if (message.size() > table.max_message_bytes()) return PublishStatus::too_big;
  const bool valid = !options.check_text || (shared != nullptr ? engine::is_sendable(*shared)
                                                               : engine::is_valid_text(message));
  return counted(table, valid ? PublishStatus::nobody : PublishStatus::not_utf8);
}

}  // namespace

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
