// The raw epoll echo: the speed of a server that only counts bytes.
#pragma once

#include "throughput/raw_server.h"

#include <cstddef>
#include <cstdint>

namespace tern::bench {

struct CeilingOptions {
  std::uint16_t port = 0;  ///< 0: the system chooses
  Waiting waiting = Waiting::sleeping;
  std::size_t message_size = 0;  ///< 0: the length of each connection's first message
  bool bare = false;             ///< serve the bare echo instead
  bool fanout = false;           ///< serve the bare fan-out instead
};

/// Serves on 127.0.0.1 until SIGTERM or SIGINT. Throws std::system_error.
int run_ceiling(const CeilingOptions& options);

}  // namespace tern::bench
