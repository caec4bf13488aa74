// The way of a message from a publisher to the topic: checks, encoding, formatting.
#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include "topics/arrival.h"
#include "topics/table.h"

#include <optional>
#include <string_view>

namespace tern::connection {

/// Publishes to the topic of this name. Thread: any.
PublishStatus publish(topics::Table& table, std::string_view name, Message message,
                      SendOptions options, const topics::Source& source = {}) noexcept;
PublishStatus publish(topics::Table& table, std::string_view name, const SharedMessage& message,
                      SendOptions options) noexcept;
/// The same for a topic that the caller holds.
PublishStatus publish(topics::TopicState& topic, Message message, SendOptions options,
                      const topics::Source& source = {}) noexcept;

/// Publishes what came through the outlet of the topic, in the format of the topic. `at` is the
/// position that a broker gave it. A text that is not UTF-8 becomes a binary message. Thread: any.
topics::Placed publish_from_outlet(topics::TopicState& topic, Message message,
                                   const topics::Source& source,
                                   std::optional<Position> at) noexcept;

/// Makes the payload that subscribers receive, see TopicOptions::format. Throws std::bad_alloc and
/// the exceptions of the application's function.
SharedMessage format(topics::TopicState& topic, Message message, Position at);

}  // namespace tern::connection
