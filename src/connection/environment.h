// The objects that the connections of one owner share on one loop, and the events that the owner
// receives.
#pragma once

#include "tern/engine.h"
#include "tern/loop.h"
#include "tern/observe.h"

#include "connection/metrics.h"
#include "connection/registry.h"
#include "net/loop_core.h"

#include <cstdint>
#include <string_view>
#include <system_error>

namespace tern::connection {

class Fanout;
class LiveConnection;

/// The part of a connection that differs between a server and a client. A worker of a server owns
/// the connections that it accepted; a client owns its connection. Thread: the loop's.
class Owner {
 public:
  /// The peer's head has arrived. A server's owner reads engine().request() and answers it, now or
  /// later, and then calls LiveConnection::head_answered(). It may call engine().read_body()
  /// before; then this is called again when the body is there. A client's owner reads
  /// engine().response(), which is the 101, and calls make_session(); without a session the
  /// connection fails.
  virtual void on_head(LiveConnection& connection) noexcept = 0;
  /// The opening handshake is over: the connection is open, or the request was answered, or the
  /// handshake failed. Called once for each connection.
  virtual void on_opening_over(LiveConnection& connection) noexcept = 0;
  /// The connection is open and the session's on_open has returned.
  virtual void on_opened(LiveConnection&) noexcept {}
  /// The queue that was congested is short again. The session's on_drain follows, unless the owner
  /// sends so much that the queue is congested again.
  virtual void on_drained(LiveConnection&) noexcept {}
  /// The connection has ended and engine().close_info() is complete. The session, if there was one,
  /// has received its on_close. LiveConnection::is_opening() is true if the handshake failed.
  /// Called once for each connection.
  virtual void on_closed(LiveConnection& connection) noexcept = 0;
  /// The connection is retired: the loop frees it at the end of the turn, before the objects
  /// that are retired later. This is the last call for this connection.
  virtual void on_gone(LiveConnection& connection) noexcept = 0;
  /// The text that stands for LiveConnection::set_label() in the log; may be empty.
  virtual std::string_view name_of(std::uint16_t) const noexcept { return {}; }

 protected:
  ~Owner() = default;
};

/// The objects and options that owners share. They stand apart because no message needs them, and
/// because each client of a loop is an owner. Lifetime: until the loop has freed the last
/// connection.
struct Shared {
  Loop& loop;
  Workspace& workspace;
  const EngineOptions& options;
  std::shared_ptr<Registry> registry;
  const LogSink& log;
  /// Delivers publications of topics; null for the connections of a client.
  Fanout* fanout = nullptr;
  /// The owner stops: a connection whose Close frames have crossed does not wait for the peer's
  /// FIN.
  bool stopping = false;
};

/// Lifetime: until the loop has freed the last connection.
struct Environment {
  net::LoopCore& core;
  Metrics& metrics;
  Owner& owner;
  const Shared& shared;
};

}  // namespace tern::connection
