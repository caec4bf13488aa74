// Observes a server from outside: a log sink and counters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

/// The importance of a log line.
enum class LogLevel : std::uint8_t { info, warning, error };

/// One line for the log. Lifetime of the views: the call of the LogSink.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view message{};         ///< what happened, without a line end
  std::string_view remote_address{};  ///< the peer, if it concerns one
};

/// Receives log lines; empty: tern logs nothing. Thread: every worker calls it, so it must be
/// thread-safe.
using LogSink = std::function<void(const LogRecord&)>;

/// The counts of a server since it was made.
struct Counters {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_open = 0;      ///< TCP connections now, of HTTP and WebSocket
  std::uint64_t connections_rejected = 0;  ///< answered with 503 at the connection limit
  std::uint64_t upgrades = 0;              ///< requests answered with 101
  std::uint64_t responses = 0;             ///< other answers to proper requests
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;  ///< accepted by send()
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t accept_pauses = 0;  ///< pauses because descriptors or memory were missing
  /// Close codes (1000, 1001 …), each with the number of WebSocket connections that ended with it.
  std::vector<std::pair<int, std::uint64_t>> closes{};
  /// Names of Errc (see errc_name), as "origin_refused", each with the number of handshakes that
  /// failed for that reason.
  std::vector<std::pair<std::string, std::uint64_t>> refusals{};

  /// Returns the counts in Prometheus' text format, version 0.0.4. Its Content-Type is
  /// "text/plain; version=0.0.4". Throws std::bad_alloc.
  std::string prometheus() const;
};

}  // namespace tern
