// The state of the few connections that have timers, subscriptions or a trusted proxy in front. It
// stands apart, so that an idle connection stays small.
#pragma once

#include "tern/loop.h"

#include "topics/history.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tern::connection {

struct LocalTopic;

/// A subscription, as its connection knows it. The topic's entry has the rest.
struct Subscription {
  LocalTopic* topic;
  std::uint32_t index;       // of the entry
  std::uint32_t missed = 0;  // publications that were skipped and not reported by on_gap
};

/// The publications that wait for a subscription that has just begun: a part of the history, the
/// rest of the history, and what was published meanwhile. The rest stays with the topic until the
/// part before it is sent. So a history is not kept in memory because a subscriber does not read.
struct Backlog {
  LocalTopic* topic;
  std::vector<topics::Kept> kept{};
  std::size_t next = 0;               // the first one of `kept` that was not sent
  std::uint64_t rest = 0;             // the offset at which the rest begins; 0: there is none
  std::uint64_t rest_last = 0;        // the offset of its end
  std::vector<topics::Kept> grown{};  // published meanwhile
  std::size_t kept_bytes = 0;         // of `kept`, see History::weight_of()
  std::size_t grown_bytes = 0;        // of `grown`
  /// The history of a broker was asked for, and nothing is sent until its answer. It begins with
  /// `from`, and ends with the offset `rest_last`.
  bool asks = false;
  std::uint8_t questions = 0;  // of this subscription, beside the first one
  From from = From::now;

  std::uint64_t waiting() const noexcept {
    return kept.size() - next + (rest != 0 ? rest_last + 1 - rest : 0) + grown.size();
  }
};

struct Extras {
  /// The client behind trusted proxies; null: the address of the socket is that of the client.
  std::unique_ptr<std::string> remote_address{};
  /// Becomes true when the peer of the request that waits for its answer leaves; null: none waits.
  std::shared_ptr<std::atomic<bool>> peer_left{};
  std::vector<TimerId> timers{};
  std::vector<Subscription> subscriptions{};
  std::vector<Backlog> backlogs{};
  std::uint64_t delivered = 0;   // the worker's last arrival that this connection has
  std::uint32_t stale = 0;       // subscriptions whose newest publication waits for a short queue
  std::uint32_t next_stale = 0;  // the index of the subscription that is served first of them
  bool closes_soon = false;      // a gap of a bridge has set the time

  bool empty() const noexcept {
    return remote_address == nullptr && peer_left == nullptr && timers.empty() &&
           subscriptions.empty() && backlogs.empty();
  }
  /// The bytes of histories that the backlogs keep.
  std::size_t kept_bytes() const noexcept {
    std::size_t sum = 0;
    for (const Backlog& each : backlogs) sum += each.kept_bytes;
    return sum;
  }
  /// The bytes that were published meanwhile.
  std::size_t grown_bytes() const noexcept {
    std::size_t sum = 0;
    for (const Backlog& each : backlogs) sum += each.grown_bytes;
    return sum;
  }
};

}  // namespace tern::connection
