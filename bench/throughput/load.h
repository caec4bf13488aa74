// The echo load: connections that keep a number of messages in flight and check the replies.
#pragma once

#include "throughput/frames.h"
#include "throughput/latency.h"
#include "throughput/system.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

namespace tern::bench {

struct LoadOptions {
  std::string url{};
  std::size_t connections = 1;
  std::size_t depth = 1;  ///< messages in flight on each
  std::size_t size = 16;  ///< bytes of payload
  PayloadKind kind = PayloadKind::binary;
  bool deflate = false;  ///< compress messages, without context takeover; JSON messages then differ
  /// At least this time. The warm-up lasts until the number of replies reaches the number of
  /// messages in flight, but not longer than 2 s.
  Seconds warm_up{0.2};
  Seconds duration{1.0};
  bool check_content =
      true;          ///< check the content of a sample; length, opcode and FIN are always checked
  pid_t server = 0;  ///< measure the CPU time of this process; 0: none
  bool latency = false;   ///< measure the latency: this reads a clock for each batch of replies
  bool progress = false;  ///< show the progress on a terminal
};

struct LoadResult {
  std::uint64_t messages = 0;
  double seconds = 0;
  double client_busy = 0;       ///< share of the time; at 1 the client was the limit
  double server_busy = 0;       ///< cores; 0 when not measured
  std::size_t reply_bytes = 0;  ///< bytes of one reply on the wire, with TLS records; the mean if
                                ///< messages differ
  /// From the write of a message's first byte to the kernel until its whole reply was read.
  std::optional<LatencySummary> latency{};
  double per_second() const noexcept { return static_cast<double>(messages) / seconds; }
  /// Microseconds of the server's CPU time.
  double server_us_each() const noexcept {
    return server_busy * seconds * 1e6 / static_cast<double>(messages);
  }
};

/// Runs the load and returns the measurement after the warm-up. Throws std::runtime_error when a
/// reply is wrong, a connection ends or no reply comes for five seconds, and std::system_error.
LoadResult run_load(const LoadOptions& options);

}  // namespace tern::bench
