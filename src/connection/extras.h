// The state of the few connections that have timers or subscriptions. It stands apart, so that an
// idle connection stays small.
#pragma once

#include "tern/loop.h"

#include "topics/history.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::connection {

struct LocalTopic;

/// A subscription, as its connection knows it. The topic's entry has the rest.
struct Subscription {
  LocalTopic* topic;
  std::uint32_t index;       // of the entry
  std::uint32_t missed = 0;  // publications that were skipped and not reported by on_gap
};

/// The publications that wait for a subscription that has just begun: its history, and what was
/// published meanwhile.
struct Backlog {
  LocalTopic* topic;
  std::vector<topics::Kept> kept{};
  std::size_t next = 0;   // the first one that was not sent
  std::size_t grown = 0;  // bytes that were added after the history
};

struct Extras {
  std::vector<TimerId> timers{};
  std::vector<Subscription> subscriptions{};
  std::vector<Backlog> backlogs{};
  std::uint64_t delivered = 0;   // the worker's last arrival that this connection has
  std::uint32_t stale = 0;       // subscriptions whose newest publication waits for a short queue
  std::uint32_t next_stale = 0;  // the index of the subscription that is served first of them
};

}  // namespace tern::connection
