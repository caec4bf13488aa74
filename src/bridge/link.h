// One connection to a broker, as the client of a broker implements it and the Driver uses it.
#pragma once

#include "tern/bridge.h"
#include "tern/error.h"
#include "tern/message.h"
#include "tern/topics.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::bridge {

/// The events of a Link, from its connect() until its close() has returned. Thread: any, but the
/// calls that concern one topic come one at a time and in the broker's order. A link whose client
/// library has threads of its own may call from them. No call waits, so a link never has a reason
/// not to read.
class LinkEvents {
 public:
  /// A publication of a topic that is subscribed. See BridgeSink::deliver(). An origin that the
  /// broker did not transport has the numbers 0.
  virtual void on_publication(std::string_view topic, Message message, const Origin& origin,
                              std::optional<Position> position = {}) noexcept = 0;
  /// The answer to Link::history(). At most one for each question; the driver answers the questions
  /// that are left when the connection ends.
  virtual void on_history(std::string_view topic, const BridgeHistory& answer) noexcept = 0;
  /// Publications may be missing, for another reason than the end of the connection: the link had
  /// to drop some, or the broker says that it has. Empty: of all topics.
  virtual void on_gap(std::string_view topic, GapCause cause) noexcept = 0;
  /// The broker has refused a publication. See BridgeSink::refused().
  virtual void on_refused(std::string_view why) noexcept = 0;
  /// The broker has sent something: the answer to a ping, or a byte. on_publication() and
  /// on_probe() imply it.
  virtual void on_alive() noexcept = 0;
  /// The message of Link::probe() has come back.
  virtual void on_probe() noexcept = 0;
  /// Writes a line to the log, without passwords.
  virtual void log(LogLevel level, std::string_view line) noexcept = 0;

 protected:
  ~LinkEvents() = default;
};

/// A connection to one of several brokers. Thread: the driver's for all functions, unless stated
/// otherwise; it may wait in each of them, but not much longer than 5 s. Functions with a Result
/// fail if the connection is lost or cannot be made. Then the driver calls close(), and connect()
/// later. The error is for people; it contains no password. Exceptions: std::bad_alloc only, with
/// the same effect.
class Link {
 public:
  virtual ~Link() = default;

  /// See Bridge::problem().
  virtual std::string problem() const { return {}; }
  /// See Bridge::is_durable().
  virtual bool is_durable() const noexcept { return false; }
  /// The number of servers in the list, at least 1.
  virtual std::size_t servers() const noexcept = 0;
  /// A name of a server for people, without a password: "nats://a:4222".
  virtual std::string server_name(std::size_t server) const = 0;

  /// Connects to one server of the list and logs in. `events` receives all that happens.
  virtual Result<void> connect(std::size_t server, LinkEvents& events) = 0;
  /// Subscribes topics that are not subscribed. At most 1000 at a time. A link may collect the
  /// commands until flush().
  virtual Result<void> subscribe(std::span<const std::string_view> topics) = 0;
  /// Ends the subscriptions of topics that are subscribed.
  virtual Result<void> unsubscribe(std::span<const std::string_view> topics) = 0;
  /// Publishes. It keeps the order of the calls, also with subscribe().
  virtual Result<void> publish(std::string_view topic, const SharedMessage& message,
                               const Origin& origin) = 0;
  /// Asks for a history, see Bridge::history(). The answer comes by on_history() later, or in this
  /// call; those to several questions come in the order of the questions. The link asks the broker
  /// after the broker has confirmed the subscription of the topic. The publications that
  /// BridgeHistory::last counts and that come through the subscription are reported before the
  /// answer, and later ones behind it.
  virtual Result<void> history(std::string_view topic, Position after, std::size_t count) {
    static_cast<void>(topic), static_cast<void>(after), static_cast<void>(count);
    return {};
  }
  /// Hands all commands to the system.
  virtual Result<void> flush() = 0;
  /// Asks the broker for a sign of life: on_alive(). A link that cannot does the same as probe().
  virtual Result<void> ping() { return probe(); }
  /// Publishes to a topic of its own, which connect() has subscribed, and which no other link has.
  /// on_probe() follows when it comes back.
  virtual Result<void> probe() = 0;
  /// Waits until the broker has sent something, `wake` is readable, or `timeout` is over. Then
  /// reads what has come, at most for a few milliseconds. It does not read from `wake`. A timeout
  /// of 0 does not wait. Fails when the connection is lost.
  virtual Result<void> poll(int wake, std::chrono::milliseconds timeout) = 0;
  /// Ends the connection, or the attempt, if there is one. When it returns, no event comes any
  /// more.
  virtual void close() noexcept = 0;
  /// Makes a function of the link that waits return soon, with an error. It may have no effect.
  /// Thread: any, at the same time as all other functions but the destructor.
  virtual void interrupt() noexcept {}
};

}  // namespace tern::bridge
