// Topics: a message is published once and reaches every subscriber, on all loops of a server.
#pragma once

#include "tern/error.h"
#include "tern/message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tern {

namespace topics {
class Table;
class TopicState;
}  // namespace topics

/// The publications that a subscriber receives.
enum class Delivery : std::uint8_t {
  every,   ///< all of them; for a subscriber that is too slow Limits::overflow decides
  latest,  ///< while the subscriber is slow, only the newest one waits for it
};

/// A place in the order of a topic.
struct Position {
  std::uint64_t epoch = 0;   ///< one life of the topic, a random number
  std::uint64_t offset = 0;  ///< publications have the offsets 1, 2, 3 …; 0 is before the first
  bool operator==(const Position&) const noexcept = default;
};

/// The publication with which a subscription begins. Older publications come from the topic's
/// history, see TopicOptions.
class From {
 public:
  /// The ways to name it.
  enum class Kind : std::uint8_t { now, last, position };

  /// The next publication.
  static const From now;
  /// The last publication, then the next ones.
  static const From retained;
  /// The last `count` publications, or as many as there are, then the next ones.
  static constexpr From last(std::size_t count) noexcept { return {Kind::last, {0, count}}; }
  /// All publications after `position`. If one of them is lost, none of the older ones comes and
  /// Subscribed::recovered is false. So it is if `position` is ahead of the topic, because it is
  /// then of another past.
  constexpr From(Position position) noexcept : From(Kind::position, position) {}

  constexpr Kind kind() const noexcept { return kind_; }
  /// For Kind::last: how many.
  constexpr std::uint64_t count() const noexcept { return position_.offset; }
  /// For Kind::position.
  constexpr Position position() const noexcept { return position_; }

 private:
  constexpr From(Kind kind, Position position) noexcept : kind_(kind), position_(position) {}

  Kind kind_;
  Position position_;
};

inline constexpr From From::now{From::Kind::now, {}};
inline constexpr From From::retained = From::last(1);

/// Options of Connection::subscribe().
struct SubscribeOptions {
  Delivery delivery = Delivery::every;
  From from = From::now;
};

/// The beginning of a subscription.
struct Subscribed {
  /// The position of the newest publication. Later ones have greater offsets. A client that keeps
  /// the position of the last publication that it received can subscribe from there again.
  std::uint64_t epoch = 0;
  std::uint64_t offset = 0;
  /// Every publication that SubscribeOptions::from asked for follows. False: `missed` are lost.
  bool recovered = true;
  /// The number of publications that are lost. If the topic has another epoch than the position
  /// that was asked for, it is `offset`, because the true number is not known.
  std::uint64_t missed = 0;
  /// The topic has a durable bridge, which must be asked before more is known. `epoch` and `offset`
  /// are then those that were asked for, else 0, and no client should keep them. The session's
  /// on_subscribed has the true values when the answer is there, and the publications that
  /// SubscribeOptions::from asked for follow. While the broker is not reachable, a subscription
  /// From::now waits for it; one that asks for older publications begins without them.
  bool pending = false;
};

/// The result of Connection::subscribe(). Unlike other Results it may be ignored, for a topic whose
/// name the program chose itself.
class SubscribeResult : public Result<Subscribed> {
 public:
  using Result::Result;
  SubscribeResult(Result<Subscribed> result) : Result(std::move(result)) {}
};

/// The result of a publication. It is true if every subscriber that is connected now receives the
/// message, unless its connection ends before, is too slow, or conflates.
///
/// A topic with a bridge (Server::bridge): the publication is queued for the broker, and workers()
/// is 0 and position() has offset 0, because it comes back and is numbered then. Other servers may
/// lose it: see "Beyond one machine" in the guides. With Order::local_first the other fields hold
/// for the subscribers of this server. A refusal of
/// the bridge has the result bridge_down, and these subscribers receive the publication anyway.
class PublishStatus {
 public:
  /// The possible results. A publication that is not accepted reaches no subscriber.
  enum Value : std::uint8_t {
    queued,        ///< accepted; workers() tells for how many workers
    nobody,        ///< accepted, and the server has no subscriber; a history keeps it
    full,          ///< not accepted: too much waits for one of the workers, or memory is out
    too_big,       ///< not accepted: over Limits::max_message_bytes
    not_utf8,      ///< not accepted: the text is not UTF-8 (RFC 6455 §5.6)
    name_invalid,  ///< not accepted: see is_topic_name()
    too_many,      ///< not accepted: a new topic would exceed TopicLimits::max_topics
    stopped,       ///< not accepted: the server is gone, or this connection is not a server's
    bridge_down,   ///< not accepted: the bridge has no broker; see also Order::local_first
  };

  /// For tern's own rooms.
  constexpr PublishStatus(Value value, std::uint32_t workers = 0,
                          Position position = Position()) noexcept
      : position_(position), workers_(workers), value_(value) {}
  constexpr explicit operator bool() const noexcept { return value_ <= nobody; }
  /// The result, for `switch`.
  constexpr Value value() const noexcept { return value_; }
  /// The number of workers that deliver it.
  constexpr std::uint32_t workers() const noexcept { return workers_; }
  /// The place of the publication; of offset 0 if it has none, because the topic does not exist: it
  /// has no subscriber, no history and no Topic.
  constexpr Position position() const noexcept { return position_; }
  constexpr bool operator==(Value value) const noexcept { return value_ == value; }

 private:
  Position position_;
  std::uint32_t workers_;
  Value value_;
};

/// The name of a result, e.g. "full" for PublishStatus::full.
std::string_view publish_status_name(PublishStatus status) noexcept;

/// A message in a topic. Lifetime of the views: the call that receives it.
struct Publication {
  std::string_view topic{};
  Position position{};
  Message message{};
};

/// The options of a topic, see Server::topics().
struct TopicOptions {
  /// The number of publications that are kept for new subscribers. 1 keeps the last value; 0 keeps
  /// none.
  std::size_t history = 0;
  /// The bytes of their payloads that are kept. The newest publication is always kept.
  std::size_t history_bytes = std::size_t{1} << 20;
  /// Older publications are dropped.
  std::chrono::nanoseconds history_age = std::chrono::hours(1);
  /// Makes the payload that subscribers receive, of the same type as the message. It is called for
  /// each publication, so that the payload can contain the position, and all subscribers share the
  /// result. It must depend on its argument alone, and must not publish to this topic: if another
  /// publication comes first, it is called again with the new position. A thread that publishes to
  /// the topic then waits until the calls of the threads before it have returned. An exception
  /// makes publish() return `full`. Empty: the message is the payload. Thread: each that publishes,
  /// several at a time.
  std::function<std::string(const Publication&)> format{};
};

/// The limits of the topics of a server, see ServerOptions::topics.
struct TopicLimits {
  std::size_t max_subscriptions = 1024;  ///< of one connection; subscribe() fails beyond it
  /// Topics that exist at a time. Beyond it those go that only a history beyond its history_age
  /// keeps. If there are none, subscribe() fails with too_many_topics and publish() with too_many.
  std::size_t max_topics = 1'000'000;
  /// Publications that wait for one worker or are on the way to its subscribers. Beyond it
  /// publish() returns `full`. A topic gets at most four times as much as it leaves free, so a busy
  /// topic does not make others full. An idle worker always takes one.
  std::size_t max_waiting = 65'536;
  /// The bytes of their payloads.
  std::size_t max_waiting_bytes = std::size_t{16} << 20;
  /// The bytes of all histories. Beyond it the topic whose last publication is the oldest loses its
  /// history.
  std::size_t max_history_bytes = std::size_t{64} << 20;
  /// The bytes that the system keeps unsent for a connection with a subscription of
  /// Delivery::latest (TCP_NOTSENT_LOWAT). Without this bound, megabytes of old values would wait
  /// in the system. 0: the system's default.
  std::size_t latest_unsent_bytes = std::size_t{16} << 10;
};

/// A change in the number of subscribers of a topic.
enum class TopicEvent : std::uint8_t {
  wanted,    ///< the server has its first subscriber
  unwanted,  ///< the last subscriber has left
};

/// Returns whether a topic can have this name: 1 to 255 bytes, without control characters (bytes
/// below 0x20, and 0x7F).
bool is_topic_name(std::string_view name) noexcept;

/// A topic of a server, for frequent publications: it saves the look-up by name. While a Topic
/// exists, its topic is not forgotten. It may outlive the server. Copyable. Thread: any.
class Topic {
 public:
  /// Reaches no topic: publish() returns `stopped`.
  Topic() noexcept = default;
  Topic(const Topic& other) noexcept;
  Topic(Topic&& other) noexcept;
  Topic& operator=(Topic other) noexcept;
  ~Topic();

  explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Publishes a message to all subscribers.
  PublishStatus publish(Message message, SendOptions options = {}) const noexcept;
  PublishStatus publish(const SharedMessage& message, SendOptions options = {}) const noexcept;
  /// The number of subscribers on all workers.
  std::size_t subscribers() const noexcept;
  /// The position of the last publication.
  Position position() const noexcept;
  /// Lifetime: this Topic.
  std::string_view name() const noexcept;

  /// For tern's own rooms. Takes over one reference to `state`.
  Topic(std::shared_ptr<topics::Table> table, topics::TopicState* state) noexcept
      : table_(std::move(table)), state_(state) {}
  topics::TopicState* state() const noexcept { return state_; }

 private:
  std::shared_ptr<topics::Table> table_{};
  topics::TopicState* state_ = nullptr;
};

}  // namespace tern
