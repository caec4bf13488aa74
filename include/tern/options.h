// Limits, deadlines and compression: plain structs, every field with a safe default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
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
  std::size_t max_head_bytes = 16'384;         ///< HTTP head with its last CRLFCRLF, ≥ 256; 431
  std::size_t max_request_line_bytes = 8'192;  ///< without its CRLF, ≥ 14; 414
  std::uint32_t max_header_fields = 100;       ///< ≥ 5; 431
  /// Hard limit of the send queue, see overflow; an empty queue takes any one message.
  std::size_t max_queued_bytes = std::size_t{1} << 20;
  std::size_t high_water_bytes = std::size_t{256} << 10;  ///< above it send() says `congested`
  std::size_t low_water_bytes = std::size_t{64} << 10;    ///< at or below it, on_drain follows
  Overflow overflow = Overflow::close;                    ///< what happens at max_queued_bytes
  /// A peer that takes what was written at this rate makes progress: timeouts.stall, pong and close
  /// do not end it. Bytes per second; 0: one byte is progress enough.
  std::size_t min_drain_bytes_per_second = 100;
};

/// Deadlines. Handshake is absolute: no traffic extends it. Silence is broken by every byte
/// received. Pong and close start when our frame was written to the socket; they and stall move
/// while the peer takes what was written, see Limits::min_drain_bytes_per_second. While output
/// waits to be written, of close and http_idle only stall runs. `std::chrono::nanoseconds::max()`
/// switches one off.
struct Timeouts {
  using Duration = std::chrono::nanoseconds;
  Duration handshake = std::chrono::seconds(10);  ///< from accept (or dial) to 101
  Duration silence = std::chrono::seconds(20);    ///< nothing received for so long: we ping
  Duration pong = std::chrono::seconds(20);       ///< from our ping: any byte must come within
  Duration close = std::chrono::seconds(5);       ///< from our Close frame to the end
  Duration stall = std::chrono::seconds(30);      ///< output waits and the peer does not take it
  Duration http_idle = std::chrono::seconds(5);   ///< from a written answer to the next request
};

/// permessage-deflate, RFC 7692: what a server accepts and a client offers. Numbers outside of
/// their bounds are taken as the nearest inside.
struct Deflate {
  /// 1 (fastest) to 9 (smallest); 0: compression is not negotiated.
  int level = 1;
  /// Base-2 logarithm of how far back our messages refer, 9 to 15. Less when the peer asks for it.
  int window_bits = 15;
  /// Of our compressor's tables, 1 to 9; it takes 2^(window_bits + 2) + 2^(memory_level + 9) bytes.
  int memory_level = 8;
  /// Of the peer's messages, 9 to 15: below 15 the peer is asked for so little.
  int peer_window_bits = 15;
  /// Our messages may refer to earlier ones (context takeover, RFC 7692 §7.1.1). They become
  /// smaller, and the connection keeps a compressor of its own, 262 KiB by default. Every message
  /// then goes out compressed, also one that grows by a few bytes, unless SendOptions forbid it.
  bool takeover = false;
  /// The peer's messages may: the connection keeps 7 KiB + 2^peer_window_bits bytes for them.
  bool peer_takeover = false;
  /// Messages of fewer bytes are sent as they are. Absent, the default: 0 on a connection whose
  /// messages refer to earlier ones (DeflateAgreement::takeover), because each message makes the
  /// next ones smaller; 1024 on any other.
  std::optional<std::size_t> min_bytes{};
};

/// What both ends of a connection agreed on, RFC 7692 §7.1.
struct DeflateAgreement {
  std::uint8_t window_bits = 15;       ///< of our messages, 9 to 15; 0: they are not compressed
  std::uint8_t peer_window_bits = 15;  ///< of the peer's messages, 8 to 15
  bool takeover = false;               ///< our messages refer to earlier ones
  bool peer_takeover = false;          ///< the peer's messages may
  bool operator==(const DeflateAgreement&) const = default;
};

/// What an Engine needs to know, of either role.
struct EngineOptions {
  Limits limits{};
  Timeouts timeouts{};
  /// Server: Origins that pass besides pages of this very server, as "https://example.org"; "*" is
  /// any. A page of this server has the host and port of Host, and the scheme https if `secure`,
  /// http if not. RFC 6455 §10.2.
  std::vector<std::string> allowed_origins{};
  /// Compression; absent: neither offered nor accepted.
  std::optional<Deflate> deflate{};
  bool secure = false;  ///< server: clients come over TLS, see allowed_origins
};

}  // namespace tern
