// Gaps of the topics of a bridge. Any thread reports them; the first worker tells them.
#include "server/bridge_line.h"
#include "topics/topic_state.h"

#include <atomic>
#include <new>
#include <utility>

namespace tern::server {

using topics::Bridged;
using topics::Table;
using topics::TopicRef;
using topics::TopicState;

void BridgeLine::gap(std::string_view topic, GapCause cause) noexcept {
  if (!runs_.load(std::memory_order_relaxed)) return;
  if (!topic.empty()) {
    if (const TopicRef found = table_.find(topic); found && found->bridged() != nullptr) {
      gap_of(*found, cause);
    }
    return;
  }
  try {
    for (const TopicRef& each : table_.topics_of(*this)) gap_of(*each, cause);
  } catch (const std::bad_alloc&) {
    log(LogLevel::error, "memory is out: a gap of all topics of a bridge is not reported");
  }
}

// A durable bridge has perhaps what is missing.
void BridgeLine::gap_of(TopicState& topic, GapCause cause) noexcept {
  if (topic.subscribers() == 0 && !topic.bridged()->wanted) return;
  if (durable_ && options_.on_gap != GapPolicy::nothing) {
    if (const auto newest = topic.numbered()) {
      if (send_question(topic, Purpose::heal, *newest, cause)) return;
    }
  }
  report(topic, cause);
}

// Several gaps of a topic are one until the first worker has told it. Afterwards the topic has no
// position, and needs one, because the next publication may be lost, too. `newest`: the broker's
// newest publication before those that follow.
void BridgeLine::report(TopicState& topic, GapCause cause,
                        std::optional<Position> newest) noexcept {
  Bridged& bridged = *topic.bridged();
  topic.begin_gap(Table::draw_epoch());
  if (newest) {
    topic.begin_numbers(*newest, true);
  } else {
    ask_number(topic);
  }
  {
    const std::lock_guard lock(mutex_);
    auto& hook = static_cast<base::ListHook<topics::GapTag>&>(bridged);
    if (!hook.linked()) {
      topic.retain();
      bridged.cause = static_cast<std::uint8_t>(cause);
      reported_.push_back(bridged);
    }
  }
  // Also for one that waits already, because memory was perhaps out for its call.
  if (runs_.load(std::memory_order_relaxed)) owner_->wake();
}

// A gap of a topic without subscribers is not reported.
BridgeLine::Gap BridgeLine::take_gap() noexcept {
  for (;;) {
    Gap gap;
    const std::lock_guard lock(mutex_);
    if (reported_.empty()) return {};
    Bridged& bridged = reported_.pop_front();
    gap.cause = static_cast<GapCause>(bridged.cause);
    gap.topic = TopicRef(&bridged.topic);
    if (gap.topic->subscribers() == 0) continue;
    gaps_.fetch_add(1, std::memory_order_relaxed);
    return gap;
  }
}

topics::Outlet::AfterGap BridgeLine::after_gap() const noexcept {
  return {.resends_retained = options_.on_gap == GapPolicy::retained,
          .closes = options_.on_gap == GapPolicy::close,
          .spread = options_.gap_spread};
}

}  // namespace tern::server
