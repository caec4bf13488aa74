// The stages of an attempt to connect, and their times.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tern {

/// How far an attempt to connect came, or `open` for a connection that was open.
enum class Stage : std::uint8_t {
  prepare,  ///< ClientOptions::before_attempt, the URL and the options
  resolve,  ///< the look-up of the name
  connect,  ///< TCP or the Unix socket
  proxy,    ///< all that concerns the proxy, also its name and its TLS
  tls,      ///< TLS with the server
  upgrade,  ///< the opening handshake
  open,     ///< the connection was open
};

/// Returns the name of a stage as it stands above, e.g. "resolve", for logs and metrics. It does
/// not change between versions. "unknown" if the value is not a Stage.
std::string_view stage_name(Stage stage) noexcept;

/// When the stages of an attempt to connect were done: the time since the beginning of the attempt.
/// A time is absent if this way has no such stage, or if the attempt did not come so far. Each time
/// includes those of the stages before it. After a redirect the stages are those of the last URL,
/// and the times still count from the beginning.
struct StageTimes {
  /// The name was looked up: that of the proxy, if there is one. A numeric address takes no time.
  std::optional<std::chrono::nanoseconds> resolve{};
  /// TCP or the Unix socket is connected: to the proxy, if there is one.
  std::optional<std::chrono::nanoseconds> connect{};
  std::optional<std::chrono::nanoseconds> proxy{};    ///< the proxy has made the tunnel
  std::optional<std::chrono::nanoseconds> tls{};      ///< the TLS handshake with the server is done
  std::optional<std::chrono::nanoseconds> upgrade{};  ///< the server's 101 has arrived

  bool operator==(const StageTimes&) const = default;
};

}  // namespace tern
