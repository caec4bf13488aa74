// A bridge over Redis. Link with tern::redis, which needs hiredis.
#pragma once

#include "tern/bridge.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tern::bridge {
class Driver;
}

namespace tern::redis {

/// The form of a publication on a channel.
enum class Payload : std::uint8_t {
  /// The bytes of the message. So `redis-cli publish tern.room.7 hello` reaches all subscribers,
  /// and other programs read what tern publishes. A message arrives as text if it is UTF-8, else as
  /// binary.
  raw,
  /// 20 bytes with the type and the publisher, then the message. A publication of another program
  /// has none of them, and is received as with `raw`.
  envelope,
};

/// The history of each topic in Redis, a stream. A subscriber that comes with the position of
/// another server receives what it has missed.
struct History {
  /// The publications that the stream of a topic keeps; Redis may keep about a hundred more. At
  /// most a billion.
  std::size_t count = 1000;
  /// The stream goes so long after its last publication.
  std::chrono::milliseconds age = std::chrono::hours(1);
  /// Epoch and offset of a topic go so long after its last publication; at least `age`, at most 100
  /// years. Later the topic has another epoch.
  std::chrono::milliseconds position_age = std::chrono::hours(24);
};

struct Options {
  /// The servers, separated by commas. If one does not answer, the next one is tried. They must be
  /// one Redis for all servers of tern: copies of one primary, of which replicas are passed over.
  ///   127.0.0.1:6379    redis://[user][:password]@host[:port][/database]
  ///   /run/redis.sock   unix://[user][:password]@/path[?db=database]
  /// User, password and path are percent-decoded. TLS and Redis Cluster are not supported.
  std::string address = "127.0.0.1:6379";
  /// For the addresses without a user and a password of their own. Empty: the default user.
  std::string username{};
  std::string password{};
  /// For the addresses without a number. Only the history is in a database; channels are in none.
  int database = 0;
  /// Begins the names of channels and keys: topic room.7 has the channel tern.room.7, the stream
  /// tern.history:room.7 and the hash tern.position:room.7. Redis has no rules for names, so topics
  /// are not escaped. Not empty.
  std::string prefix = "tern.";
  Payload payload = Payload::raw;
  /// Makes the bridge durable. The payload is then an envelope with the position, and a publication
  /// of another program on a channel is dropped, because it has none.
  std::optional<History> history{};
  /// The longest time of connecting and logging in. At most 5 s.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(5);
};

/// Connects topics by the channels of a Redis server, 5.0 or newer; with a history 6.2 or newer.
/// Redis gives one order to all subscribers of a channel. A publication that Redis has not
/// confirmed when the connection is lost may be lost, too; the log says how many.
///
/// It has a thread of its own and two connections, because a connection that subscribes does
/// nothing else. Only the thread uses them, so no loop of the server waits for Redis.
class Bridge final : public tern::Bridge {
 public:
  /// Throws std::bad_alloc. problem() tells whether the options can work.
  explicit Bridge(Options options = {});
  Bridge(Bridge&&) noexcept;
  Bridge& operator=(Bridge&&) noexcept;
  ~Bridge() override;

  std::string problem() const override;
  bool is_durable() const noexcept override;
  Result<void> attach(BridgeSink& sink, const BridgeOptions& options) override;
  bool interest(std::string_view topic, bool wanted) noexcept override;
  PublishStatus publish(std::string_view topic, const SharedMessage& message,
                        const Origin& origin) noexcept override;
  bool history(std::string_view topic, Position after, std::size_t count) noexcept override;
  void detach(std::chrono::nanoseconds deadline) noexcept override;
  BridgeCounters counters() const override;

 private:
  std::unique_ptr<bridge::Driver> driver_;
};

}  // namespace tern::redis
