// Bridges: topics that span several processes and machines, over a broker that exists already.
#pragma once

#include "tern/error.h"
#include "tern/message.h"
#include "tern/observe.h"
#include "tern/topics.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern {

/// The order in which the subscribers of this server receive publications of a bridged topic.
enum class Order : std::uint8_t {
  /// A publication goes to the broker, and reaches the subscribers of this server, too, when it
  /// comes back. All servers then have the order of the broker. Redis has one order for all of
  /// them. Core NATS keeps only the order of each publisher.
  broker,
  /// The subscribers of this server receive a publication at once, and its echo is dropped. Other
  /// servers may receive publications in another order. Not for topics with a history, and not with
  /// a bridge that is durable.
  local_first,
};

/// The way of a publication while the broker is not reachable.
enum class WhileDown : std::uint8_t {
  buffer,  ///< it waits, see BridgeOptions::buffer_bytes; beyond that as `fail`
  fail,    ///< publish() returns PublishStatus::bridge_down
  local,   ///< it reaches the subscribers of this server only; not with a bridge that is durable
};

/// The consequence of a gap for the subscribers of a topic, beside the report:
/// Server::on_bridge_gap is called once, and on_gap of each subscriber's session with 0 for the
/// number of publications.
enum class GapPolicy : std::uint8_t {
  nothing,  ///< no further one; a durable bridge does not ask for what is missing
  /// Each subscriber receives the last publication that the topic's history has. Without a
  /// history (TopicOptions) listen() fails. A durable bridge also recovers.
  retained,
  recover,  ///< a durable bridge first delivers what its history has; only the rest is a gap
  close,    ///< connections are closed with 1012 within BridgeOptions::gap_spread; also recovers
};

/// The reason for which publications of a topic may be missing.
enum class GapCause : std::uint8_t {
  outage,    ///< the broker was not reachable
  too_slow,  ///< they came faster than the workers of this server, or this process, took them
  lost,      ///< the broker or its history lost them
};

/// The state of a bridge.
enum class BridgeState : std::uint8_t {
  connecting,  ///< it has not been up yet
  up,          ///< publications pass
  down,        ///< the connection to the broker is lost; it is tried again
};

/// The name of a state, e.g. "up".
std::string_view bridge_state_name(BridgeState state) noexcept;
/// The name of a cause, e.g. "outage".
std::string_view gap_cause_name(GapCause cause) noexcept;

/// The publisher of a publication. It travels with the publication, so that a connection does not
/// receive what it published itself. Two numbers without a meaning for others.
struct Origin {
  std::uint64_t server = 0;      ///< one run of a server, a random number; 0: another program
  std::uint64_t connection = 0;  ///< a connection of that server; 0: none
  bool operator==(const Origin&) const noexcept = default;
};

/// Options of Server::bridge().
struct BridgeOptions {
  /// The topics of this bridge: a name, or the beginning of names and then '*'. If the patterns of
  /// several bridges match a topic, the topic has the bridge with the longest one. A topic has at
  /// most one bridge.
  std::string topics = "*";
  Order order = Order::broker;
  WhileDown while_down = WhileDown::buffer;
  /// The bytes of publications that wait for the broker, with the name of the topic and 256 bytes
  /// for each, because they take so much memory. Beyond it publish() returns `full` while the
  /// bridge is up, and `bridge_down` while it is not.
  std::size_t buffer_bytes = std::size_t{8} << 20;
  /// The time for which publications wait after the broker was lost, or after the beginning. Then
  /// all that wait are dropped and counted, and publish() returns `bridge_down` until the bridge is
  /// up. While the bridge is up, publish() returns `full` if the oldest one waits longer.
  std::chrono::nanoseconds buffer_time = std::chrono::seconds(5);
  GapPolicy on_gap = GapPolicy::recover;
  /// For GapPolicy::close: each connection is closed at a random time within it, so that the
  /// clients do not come back together.
  std::chrono::nanoseconds gap_spread = std::chrono::seconds(5);
  /// The broker's subscription of a topic ends so long after its last subscriber has left, because
  /// clients that reconnect should not make the broker busy.
  std::chrono::nanoseconds linger = std::chrono::seconds(5);
  /// The longest time for which a subscription waits for the history of a durable bridge.
  std::chrono::nanoseconds history_time = std::chrono::seconds(5);
};

/// A publication of the broker's history.
struct BridgedPublication {
  Message message{};
  Origin origin{};
};

/// The answer to Bridge::history(). Lifetime of the views: the call that receives it.
struct BridgeHistory {
  /// false: the broker did not answer, so nothing is known.
  bool known = false;
  /// The position of the newest publication that the broker numbered; of offset 0 if there is none.
  Position last{};
  /// Consecutive publications, of which the newest one has the position `last`.
  std::span<const BridgedPublication> publications{};
};

/// The server, as a bridge sees it. Lifetime: from attach() until detach() has returned.
/// Thread: any, but the calls that concern one topic come one at a time. No call waits, and no call
/// calls the bridge back in the same thread, except that deliver(), history(), state() and gap()
/// may call Bridge::history().
class BridgeSink {
 public:
  BridgeSink(const BridgeSink&) = delete;
  BridgeSink& operator=(const BridgeSink&) = delete;

  /// Delivers a publication of the broker to the subscribers of this server. A text that is not
  /// UTF-8 becomes a binary message. Without a subscriber it is dropped. If the workers are too
  /// slow, it is dropped, counted, and reported as a gap.
  ///
  /// `position`: the broker numbers the publications of each topic. The topic then has this epoch
  /// and offset. A publication that has come before is dropped. If publications before it are
  /// missing, the server asks for them by Bridge::history() and drops this one, because the answer
  /// has it, too. So a durable bridge may lose notifications.
  virtual void deliver(std::string_view topic, Message message, const Origin& origin,
                       std::optional<Position> position = {}) noexcept = 0;
  /// Answers Bridge::history(). Each call of history() that returned true has one answer.
  virtual void history(std::string_view topic, const BridgeHistory& answer) noexcept = 0;
  /// The state has changed. `why` is for people, e.g. "nats://a:4222: connection refused"; it has
  /// no password.
  virtual void state(BridgeState state, std::string_view why) noexcept = 0;
  /// Publications of a topic may be missing. Empty: of all topics that this server wants. After an
  /// outage call it when the topic is subscribed again.
  virtual void gap(std::string_view topic, GapCause cause) noexcept = 0;
  /// The broker has refused a publication that publish() had accepted, for example because the user
  /// has no right to publish. It is counted, a line of the log tells it once a minute for each
  /// kind, and BridgeStatus has it. `why` is for people and has no password; its first word is the
  /// kind, e.g. "OOM command not allowed".
  virtual void refused(std::string_view why) noexcept { static_cast<void>(why); }
  /// Writes a line to the server's log.
  virtual void log(LogLevel level, std::string_view line) noexcept = 0;

 protected:
  BridgeSink() noexcept = default;
  ~BridgeSink() = default;
};

/// Connects topics of several servers. tern::nats::Bridge and tern::redis::Bridge are bridges; an
/// application may have its own. To a topic a bridge is one more publisher, and one more worker
/// that is interested.
///
/// interest(), publish() and history() are called by loops of the server, some of them under the
/// lock of a topic. So they must return at once, they never wait for the broker, and they call
/// neither the sink nor the server.
class Bridge {
 public:
  virtual ~Bridge() = default;

  /// Returns the reason why its options can never work; empty if there is none. listen() fails with
  /// it. Throws std::bad_alloc.
  virtual std::string problem() const { return {}; }
  /// Returns whether the broker numbers the publications of a topic and keeps a history of them:
  /// deliver() always has a position, and history() works. The server then fills holes by
  /// history(), and reports as gaps only those that the history cannot fill.
  virtual bool is_durable() const noexcept { return false; }

  /// Begins to connect; run() of the server calls it before its workers run, and again in each
  /// further run(). It does not wait for the broker. Lifetime of the sink: until detach(); copy the
  /// options. Errors: those of the system, for example of a thread that cannot start. Then run()
  /// fails and detach() is not called.
  virtual Result<void> attach(BridgeSink& sink, const BridgeOptions& options) = 0;
  /// The server wants the publications of a topic, or no longer. Calls for one topic come one at a
  /// time and alternate, beginning with true. Returns false if memory is out, and then does
  /// nothing: subscribe() fails, or the server calls again. Thread: any.
  virtual bool interest(std::string_view topic, bool wanted) noexcept = 0;
  /// Sends a publication to the broker. It is behind all that the same thread published before, and
  /// behind its subscriptions. Returns `queued`; `full` if its bounded queue is full or memory is
  /// out; `bridge_down`; `stopped` before attach() and after detach(). Thread: any.
  virtual PublishStatus publish(std::string_view topic, const SharedMessage& message,
                                const Origin& origin) noexcept = 0;
  /// For a bridge that is durable: asks for the newest publications of a topic, at most `count`,
  /// and if `after` has an epoch that is not 0, only for those with greater offsets. If the
  /// broker's epoch is another one, for the newest `count`. A `count` of 0 asks only for
  /// BridgeHistory::last; the server does so when a topic has its first subscriber. The broker must
  /// be asked after it has confirmed the subscription of interest(), so that no publication falls
  /// between. Publications up to BridgeHistory::last that come through the subscription must be
  /// delivered before the answer, and later ones should be behind it. Several questions for one
  /// topic are answered in their order. Returns false if it cannot ask; otherwise
  /// BridgeSink::history() has the answer, once. Thread: any.
  virtual bool history(std::string_view topic, Position after, std::size_t count) noexcept {
    static_cast<void>(topic), static_cast<void>(after), static_cast<void>(count);
    return false;
  }
  /// Sends what waits, ends all subscriptions and the connection, and returns at the latest after
  /// `deadline` and the time of one call to the operating system or a client library. Afterwards it
  /// does not use the sink.
  virtual void detach(std::chrono::nanoseconds deadline) noexcept = 0;
  /// The counts that the bridge itself has; the server adds the others. Thread: any.
  virtual BridgeCounters counters() const { return {}; }

 protected:
  Bridge() noexcept = default;
  Bridge(Bridge&&) noexcept = default;  // Server::bridge moves it before attach()
  Bridge& operator=(Bridge&&) noexcept = default;
};

/// The state of a bridge of a server, for a page that tells the health.
struct BridgeStatus {
  std::string topics{};  ///< BridgeOptions::topics
  BridgeState state = BridgeState::connecting;
  std::string why{};          ///< the last reason that the bridge gave, for people
  std::uint64_t refused = 0;  ///< publications that the broker refused since the server was made
  std::string refusal{};      ///< the reason of the last one; empty if it is a minute ago
};

}  // namespace tern
