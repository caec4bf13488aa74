// Limits and deadlines: plain structs, every field with a safe default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tern {

/// What to do when a message would not fit into the send queue of a slow peer.
enum class Overflow : std::uint8_t {
  close,   ///< end the connection with 1008, Errc::peer_too_slow: no message is lost silently
  reject,  ///< send() returns `full`, and the connection lives
};

/// Sizes and counts. Bytes unless said otherwise.
struct Limits {
  std::size_t max_message_bytes = std::size_t{1} << 20;  ///< 1009 beyond, RFC 6455 §10.4
  std::uint32_t max_fragments = 16'384;        ///< frames of one message, empty ones too; 1008
  std::size_t max_head_bytes = 16'384;         ///< HTTP head with its last CRLFCRLF; 431
  std::size_t max_request_line_bytes = 8'192;  ///< without its CRLF; 414
  std::uint32_t max_header_fields = 100;       ///< 431
  /// Hard limit of the send queue, see overflow; an empty queue takes any one message.
  std::size_t max_queued_bytes = std::size_t{1} << 20;
  std::size_t high_water_bytes = std::size_t{256} << 10;  ///< above it send() says `congested`
  std::size_t low_water_bytes = std::size_t{64} << 10;    ///< at or below it, on_drain follows
  Overflow overflow = Overflow::close;                    ///< what happens at max_queued_bytes
};

/// Deadlines. Handshake and close are absolute: no traffic extends them. Silence, pong and stall
/// are inactivity timers. `std::chrono::nanoseconds::max()` switches one off.
struct Timeouts {
  using Duration = std::chrono::nanoseconds;
  Duration handshake = std::chrono::seconds(10);  ///< from accept (or dial) to 101
  Duration silence = std::chrono::seconds(20);    ///< nothing received for so long: we ping
  Duration pong = std::chrono::seconds(20);       ///< then any byte must come within
  Duration close = std::chrono::seconds(5);       ///< from our Close frame to the end
  Duration stall = std::chrono::seconds(30);      ///< output waits and the peer takes no byte
  Duration http_idle = std::chrono::seconds(5);   ///< between requests on a kept HTTP connection
};

/// What an Engine needs to know, of either role.
struct EngineOptions {
  Limits limits{};
  Timeouts timeouts{};
  /// Server: Origins that pass besides the one of Host, as "https://example.org"; "*" is any.
  /// RFC 6455 §10.2.
  std::vector<std::string> allowed_origins{};
};

}  // namespace tern
