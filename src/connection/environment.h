// What the connections of one loop share, and whom they ask about requests.
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

class LiveConnection;

/// Who owns connections of a role: a server's worker.
class Owner {
 public:
  /// A request waits for its answer: LiveConnection::accept or respond, now or later.
  virtual void on_request(LiveConnection& connection) noexcept = 0;
  /// The handshake is over: it was upgraded or answered, or it failed. Once for a connection.
  virtual void on_handshake_over(LiveConnection& connection) noexcept = 0;
  /// The path of the route that a request was given to (LiveConnection::set_route), for the log.
  virtual std::string_view route_name(std::uint16_t) const noexcept { return {}; }
  /// It is about to be destroyed.
  virtual void on_gone(LiveConnection& connection) noexcept = 0;

 protected:
  ~Owner() = default;
};

struct Environment {
  Loop& loop;
  net::LoopCore& core;
  Workspace& workspace;
  const EngineOptions& options;
  std::shared_ptr<Registry> registry;
  Metrics& metrics;
  Owner& owner;
  const LogSink& log;
  bool stopping = false;  // nobody is waited for longer than it takes to part in good order
};

}  // namespace tern::connection
