// What can be watched from outside: a log sink and counters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

/// How much it matters.
enum class LogLevel : std::uint8_t { info, warning, error };

/// One line for the log. Lifetime of the views: the call.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view message{};         ///< what happened, without a line end
  std::string_view remote_address{};  ///< the peer, if it concerns one
};

/// Takes records. Thread: called from every worker, so it must be thread-safe. Empty: tern is
/// silent.
using LogSink = std::function<void(const LogRecord&)>;

/// A snapshot of what a server did since it was made.
struct Counters {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_open = 0;      ///< TCP connections now, whatever they speak
  std::uint64_t connections_rejected = 0;  ///< answered 503 at the connection limit
  std::uint64_t upgrades = 0;              ///< answered 101
  std::uint64_t responses = 0;             ///< other answers to proper requests
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;  ///< accepted by send()
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t accept_pauses = 0;  ///< descriptors or memory ran short
  /// Close codes (1000, 1001 …) and how many WebSocket connections ended with them.
  std::vector<std::pair<int, std::uint64_t>> closes{};
  /// Names of Errc (see errc_name), as "origin_refused", and how many handshakes failed for that
  /// reason.
  std::vector<std::pair<std::string, std::uint64_t>> refusals{};

  /// In Prometheus' text format, version 0.0.4; its Content-Type is "text/plain; version=0.0.4".
  std::string prometheus() const;
};

}  // namespace tern
