// The blocking client: dial() connects, BlockingClient sends and receives.
#pragma once

#include "tern/close.h"
#include "tern/error.h"
#include "tern/message.h"
#include "tern/options.h"
#include "tern/tls.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

namespace client {
class Session;
}

/// How to dial. Every field has a safe default.
struct DialOptions {
  /// For everything from the resolver to the server's 101; absolute.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  TlsClient tls{};  ///< for wss:// URLs
  /// Subprotocols offered, the preferred one first. RFC 6455 §4.1.
  std::vector<std::string> protocols{};
  /// Header fields added to the request, e.g. Origin, Authorization, Cookie.
  std::vector<std::pair<std::string, std::string>> headers{};
  Limits limits{.max_fragments = 131'072};
  Timeouts timeouts{};               ///< `handshake` is not used: `timeout` is
  std::optional<Deflate> deflate{};  ///< compression that is offered; absent: none
};

/// A connected WebSocket client without a loop. Move-only.
/// Thread: any thread may send, ping or close, at the same time; one at a time receives. Pings are
/// answered, the peer's Close frame is heard, and the keepalive runs, while some thread is in a
/// call, also one that only sends: then messages wait, up to limits.max_message_bytes, and beyond
/// that nothing is read until a thread receives. Bytes that are not received yet are no silence.
class BlockingClient {
 public:
  BlockingClient(BlockingClient&&) noexcept;
  BlockingClient& operator=(BlockingClient&&) noexcept;
  /// Ends TCP if close() was not called; no thread may still be using it.
  ~BlockingClient();

  /// Waits for a message and puts its payload into `payload`, whose memory is reused. With a
  /// timeout, Errc::timed_out leaves the connection as it was. Any other error is its end:
  /// Errc::closed after a closing handshake, else the cause; close_info() tells more.
  Result<MessageType> receive(std::string& payload);
  Result<MessageType> receive(std::string& payload, std::chrono::nanoseconds timeout);

  /// Sends a message; waits until the system has taken all of it, at most timeouts.stall without
  /// progress. Messages of several threads stay whole, each thread's in order. Text that is
  /// not UTF-8 is not sent: Errc::text_not_utf8, and the connection lives
  /// (SendOptions::check_text). Errors: Errc::closed once the closing handshake has begun, else the
  /// cause of the end; what the peer said before it went can still be received then. `options` say
  /// whether it may be compressed, where that was agreed on.
  Result<void> send(Message message, SendOptions options = {});
  /// Sends a ping of at most 125 bytes. RFC 6455 §5.5.2.
  Result<void> ping(std::span<const std::byte> payload = {});

  /// Sends a Close frame behind all that was sent, waits for the peer's and for it to end TCP;
  /// gives up when the peer has made no progress for so long, and then TCP ends in any case.
  /// Progress is to take what was sent, at Limits::min_drain_bytes_per_second: so nothing is lost
  /// on a slow link. Messages that were not received are dropped; a receive() in progress returns.
  /// After the end it returns at once. RFC 6455 §7.1.1, §7.1.2. True when both Close frames
  /// crossed and the peer was there to get ours; close_info() tells more.
  bool close(CloseCode code = CloseCode::normal, std::string_view reason = {},
             std::chrono::nanoseconds timeout = std::chrono::seconds(5));
  /// Ends TCP at once; a receive() or send() in progress returns. Thread: any.
  void terminate() noexcept;

  /// How it ended; meaningful once receive(), send(), ping() or close() said so.
  CloseInfo close_info() const;
  /// The subprotocol agreed upon; empty: none. Lifetime: the client.
  std::string_view protocol() const noexcept;
  /// What was agreed on about compression; nothing: messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const;
  /// The value of a header field of the server's 101; empty when absent.
  std::string header(std::string_view name) const;
  /// The address connected to, as "192.0.2.7:9001".
  std::string remote_address() const;

  /// Made by dial().
  explicit BlockingClient(std::unique_ptr<client::Session> session) noexcept;

 private:
  std::unique_ptr<client::Session> session_;
};

/// Connects to a ws:// or wss:// URL (RFC 6455 §3): resolves the name, tries each of its addresses
/// (RFC 8305), upgrades. A name that is no numeric address is looked up in a short-lived thread, so
/// that the deadline holds. Errors: url_invalid, options_invalid, invalid_header,
/// name_not_resolved, the system's of connect, handshake_timeout, tls_certificate_refused,
/// tls_failed, upgrade_refused and the others of the handshake; the message names host and stage.
Result<BlockingClient> dial(std::string_view url, const DialOptions& options = {});

}  // namespace tern
