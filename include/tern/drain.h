// The orderly end of a server that is replaced by another one.
#pragma once

#include "tern/close.h"

#include <chrono>
#include <string>

namespace tern {

/// How Server::drain() ends the connections.
struct Drain {
  /// The time over which the WebSocket connections are closed evenly; at most `deadline`. A longer
  /// one is an error of listen() in ServerOptions::drain_on_stop. Server::drain() logs a warning
  /// and takes `deadline` instead.
  std::chrono::nanoseconds spread = std::chrono::seconds(30);
  /// The time after which all connections that are left are cut off, and run() returns.
  std::chrono::nanoseconds deadline = std::chrono::seconds(60);
  CloseCode code = CloseCode::service_restart;  ///< of the Close frames; see may_be_sent()
  std::string reason{};                         ///< of the Close frames; cut at 123 bytes
};

}  // namespace tern
