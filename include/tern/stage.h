// The stages of an attempt to connect.
#pragma once

#include <cstdint>
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

}  // namespace tern
