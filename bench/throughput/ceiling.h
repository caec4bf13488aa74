// The raw epoll echo: how fast a server could be that does nothing.
#pragma once

#include "throughput/raw_server.h"

#include <cstddef>
#include <cstdint>

namespace tern::bench {

struct CeilingOptions {
  std::uint16_t port = 0;  ///< 0: the system chooses
  Waiting waiting = Waiting::sleeping;
  std::size_t message_size = 0;  ///< 0: the length of each connection's first message
  bool bare = false;             ///< the bare echo instead: the least that is a WebSocket echo
};

/// Serves on 127.0.0.1 until SIGTERM or SIGINT. Throws std::system_error.
int run_ceiling(const CeilingOptions& options);

}  // namespace tern::bench
