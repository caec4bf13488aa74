// Limits, deadlines and compression as plain structs. Each field has a safe default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tern {

/// The action if a message does not fit into the send queue of a slow peer.
enum class Overflow : std::uint8_t {
  close,   ///< ends the connection with 1008, Errc::peer_too_slow: no message is lost silently
  reject,  ///< send() returns `full`, and the connection stays open
};

/// Limits of sizes and counts. Sizes are in bytes. A number after ";" is the code or status for a
/// peer that exceeds the limit.
struct Limits {
  std::size_t max_message_bytes = std::size_t{1} << 20;  ///< RFC 6455 §10.4; 1009
  std::uint32_t max_fragments = 16'384;        ///< frames of one message, also empty ones; 1008
  std::size_t max_head_bytes = 16'384;         ///< HTTP head with its last CRLFCRLF, ≥ 256; 431
  std::size_t max_request_line_bytes = 8'192;  ///< without its CRLF, ≥ 14; 414
  std::uint32_t max_header_fields = 100;       ///< ≥ 5; 431
  /// The body of a request, without its framing; 413. 0: no request may have a body.
  std::size_t max_body_bytes = std::size_t{64} << 10;
  /// Hard limit of the send queue; see overflow. An empty queue accepts one message of any size.
  std::size_t max_queued_bytes = std::size_t{1} << 20;
  std::size_t high_water_bytes = std::size_t{256} << 10;  ///< above it, send() returns `congested`
  std::size_t low_water_bytes = std::size_t{64} << 10;    ///< at or below it, on_drain is called
  Overflow overflow = Overflow::close;                    ///< the action at max_queued_bytes
  /// A peer that takes written bytes at this rate makes progress: timeouts.stall, pong and close do
  /// not end its connection. Bytes per second; 0: one byte is enough progress.
  std::size_t min_drain_bytes_per_second = 100;
};

/// Deadlines. `handshake`, `body` and `answer` are absolute: no traffic extends them. Every
/// received byte ends a silence. `pong` and `close` start when our frame was written to the socket.
/// `pong`, `close` and `stall` move while the peer takes written bytes, see
/// Limits::min_drain_bytes_per_second. While output waits to be written, `stall` runs instead of
/// `close` and `http_idle`. `std::chrono::nanoseconds::max()` switches a deadline off.
struct Timeouts {
  using Duration = std::chrono::nanoseconds;
  Duration handshake = std::chrono::seconds(10);  ///< from accept or dial to the 101
  Duration silence = std::chrono::seconds(20);    ///< time without a received byte before we ping
  Duration pong = std::chrono::seconds(20);       ///< from our ping to any received byte
  Duration close = std::chrono::seconds(5);       ///< from our Close frame to the end
  Duration stall = std::chrono::seconds(30);      ///< output waits and the peer takes none of it
  Duration http_idle = std::chrono::seconds(5);   ///< from a written answer to the next request
  Duration body = std::chrono::seconds(30);       ///< from the end of a head to the end of its body
  Duration answer = std::chrono::seconds(60);     ///< for the answer of an Exchange
};

/// permessage-deflate, RFC 7692: the options that a server accepts and a client offers. A number
/// outside of its bounds becomes the nearest bound.
struct Deflate {
  /// Compression level, 1 (fastest) to 9 (smallest); 0: compression is not negotiated.
  int level = 1;
  /// Base-2 logarithm of the window of our messages in bytes, 9 to 15. It is smaller if the peer
  /// asks for it.
  int window_bits = 15;
  /// Size of our compressor's tables, 1 to 9. The compressor takes 2^(window_bits + 2) +
  /// 2^(memory_level + 9) bytes.
  int memory_level = 8;
  /// Base-2 logarithm of the window of the peer's messages, 9 to 15. Below 15 the peer is asked for
  /// this limit.
  int peer_window_bits = 15;
  /// true: our messages may refer to earlier ones (context takeover). They become smaller, and the
  /// connection keeps a compressor of its own, 262 KiB by default. Every message is then sent
  /// compressed, even if it grows by a few bytes, unless SendOptions::compress is false. RFC 7692
  /// §7.1.1.
  bool takeover = false;
  /// true: the peer's messages may refer to earlier ones. The connection keeps 7 KiB +
  /// 2^peer_window_bits bytes for them.
  bool peer_takeover = false;
  /// Messages with fewer bytes are sent uncompressed. Absent (the default): 0 on a connection whose
  /// messages refer to earlier ones (DeflateAgreement::takeover), because each message makes the
  /// next ones smaller; 1024 on any other.
  std::optional<std::size_t> min_bytes{};
};

/// The agreement of both ends on compression, RFC 7692 §7.1.
struct DeflateAgreement {
  std::uint8_t window_bits = 15;       ///< window of our messages, 9 to 15; 0: not compressed
  std::uint8_t peer_window_bits = 15;  ///< window of the peer's messages, 8 to 15
  bool takeover = false;               ///< our messages refer to earlier ones
  bool peer_takeover = false;          ///< the peer's messages may refer to earlier ones
  bool operator==(const DeflateAgreement&) const = default;
};

/// The options of an Engine, for both roles.
struct EngineOptions {
  Limits limits{};
  Timeouts timeouts{};
  /// Server: Origins that are accepted besides those of pages of this server, e.g.
  /// "https://example.org"; "*" accepts any Origin. A page of this server has the host and port of
  /// Host, and the scheme https if `secure`, else http. RFC 6455 §10.2.
  std::vector<std::string> allowed_origins{};
  /// Compression; absent: not offered and not accepted.
  std::optional<Deflate> deflate{};
  bool secure = false;  ///< server: clients connect over TLS; see allowed_origins
  /// Server: false ends the connection after each answer. It may change at any time.
  bool keep_alive = true;
};

}  // namespace tern
