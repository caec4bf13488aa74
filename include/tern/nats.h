// A bridge over NATS: topics that several servers share. Link tern::nats (CMake: find_package(tern
// COMPONENTS nats), pkg-config: tern-nats); it needs libnats.
#pragma once

#include "tern/bridge.h"
#include "tern/error.h"
#include "tern/message.h"
#include "tern/observe.h"
#include "tern/tls.h"
#include "tern/topics.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::nats {

/// The login at a server. At most one way is used: a user, a token, or a file.
struct Credentials {
  std::string user{};      ///< needs a password
  std::string password{};  ///< of `user`
  std::string token{};     ///< or a token
  std::string file{};      ///< or the path of a .creds file with a JWT and a seed
};

/// The way in which a publication tells its publisher and its type.
enum class Envelope : std::uint8_t {
  /// In header fields, if they are needed: "Tern-Origin" for publications of a connection, and
  /// "Tern-Type: binary" for binary messages. The payload is that of the message.
  headers,
  /// Not at all. Then Connection::publish() reaches its own connection, too, and a binary message
  /// that is valid UTF-8 arrives as text. Not with Order::local_first.
  none,
};

/// Options of a Bridge.
struct Options {
  /// URLs: "nats://host:4222" or "tls://host:4222", also with "user:password@" or "token@" before
  /// the host, percent-encoded. The bridge uses one server at a time. When it fails, or says that
  /// it is about to stop, the next one follows. Other servers of the same cluster that a server
  /// names are used as well, with the credentials and TLS options of the first URL.
  std::vector<std::string> servers = {"nats://127.0.0.1:4222"};
  /// The login at servers whose URL has none.
  Credentials credentials{};
  /// Requires TLS from all servers. Without it only servers with tls:// must have TLS, with the
  /// defaults of TlsClient. `pinned_keys` and `memory` cannot be used.
  std::optional<TlsClient> tls{};
  /// Stands before each topic: the topic "room.7" is the subject "tern.room.7". Empty, or tokens
  /// with a dot behind each. A byte of a topic that a subject may not have is written as %XX.
  std::string prefix = "tern.";
  Envelope envelope = Envelope::headers;
  /// The name of the connection in the lists of the server.
  std::string name = "tern";
};

/// A bridge over core NATS. Publications are delivered at most once. All subscribers see the
/// publications of one server in its order; core NATS promises no order between publishers, and
/// has no history. A payload is that of the message, so `nats pub tern.room.7 hello` reaches the
/// subscribers of the topic "room.7".
///
///     server.bridge(tern::nats::Bridge({.servers = {"nats://a:4222", "nats://b:4222"}}),
///                   {.topics = "room.*"});
///
/// It has a thread of its own, and libnats has some. All of them block all signals.
class Bridge final : public tern::Bridge {
 public:
  /// Throws std::bad_alloc.
  explicit Bridge(Options options = {});
  /// Only before attach().
  Bridge(Bridge&& other) noexcept;
  Bridge& operator=(Bridge&&) = delete;
  ~Bridge() override;

  std::string problem() const override;
  Result<void> attach(BridgeSink& sink, const BridgeOptions& options) override;
  bool interest(std::string_view topic, bool wanted) noexcept override;
  PublishStatus publish(std::string_view topic, const SharedMessage& message,
                        const Origin& origin) noexcept override;
  void detach(std::chrono::nanoseconds deadline) noexcept override;
  BridgeCounters counters() const override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tern::nats
