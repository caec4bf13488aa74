// The way of a message from a publisher to the topic: checks, encoding, formatting.
#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include "topics/arrival.h"
#include "topics/table.h"

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

}  // namespace tern::connection
