// The blocking client: dial() connects, BlockingClient sends and receives.
#pragma once

#include "tern/close.h"
#include "tern/error.h"
#include "tern/message.h"
#include "tern/options.h"
#include "tern/proxy.h"
#include "tern/round_trip.h"
#include "tern/stage.h"
#include "tern/tls.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

namespace client {
class Session;
}

/// Which addresses of a name count.
enum class AddressFamily : std::uint8_t { any, ipv4, ipv6 };

/// The options of dial(). Each field has a safe default.
struct DialOptions {
  /// The deadline for everything from the name lookup to the server's 101. It is absolute; default
  /// 30 s.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  TlsClient tls{};  ///< for wss:// URLs
  /// The subprotocols to offer, the preferred one first. RFC 6455 §4.1.
  std::vector<std::string> protocols{};
  /// Header fields to add to the request, e.g. Origin, Authorization, Cookie.
  std::vector<std::pair<std::string, std::string>> headers{};
  Limits limits{.max_fragments = 131'072};
  Timeouts timeouts{};               ///< `handshake` has no effect; `timeout` replaces it
  std::optional<Deflate> deflate{};  ///< the compression to offer; absent: none

  /// The proxy to pass, see Proxy. It asks for a tunnel to the URL's host, also for ws://.
  Proxy proxy{};
  /// The most redirects (301, 302, 303, 307, 308) that are followed; 0: each is refused with
  /// Errc::upgrade_refused, whose Error::header("Location") says where it leads. A redirect from
  /// wss:// to ws:// is never followed. To another origin go only the header fields Origin and
  /// User-Agent, and no client certificate.
  int max_redirects = 0;
  /// The path of a Unix socket to connect to, instead of the URL's host and port; Host and the name
  /// for TLS stay those of the URL. '@' in front means an abstract name. See also ws+unix:// URLs.
  std::string unix_socket{};
  /// "host:port" to connect to, instead of the URL's host and port, which Host and the name for TLS
  /// still have. A proxy gets this host and port.
  std::string connect_to{};
  /// A connected stream socket to use; -1: none. dial() takes it over and closes it, also if it
  /// fails. No redirect is followed. Client::connect() takes it over for the first attempt only.
  int socket = -1;
  AddressFamily family = AddressFamily::any;  ///< of the addresses to connect to
  std::string source_address{};               ///< our own numeric address; empty: any
  std::string host{};        ///< the Host field, if not that of the URL: "host" or "host:port"
  std::string user_agent{};  ///< the User-Agent field, also for a proxy; empty: none
  /// A requested stop ends dial() at once with Errc::stopped, from any thread. Later it closes the
  /// connection with 1001, also if no thread is in a call of the client. It does not wait:
  /// receive() returns as after close(), when the server has answered or after timeouts.close.
  std::stop_token stop{};
};

/// A connected WebSocket client without a loop. Move-only. While any thread is in a call, pings are
/// answered, the peer's Close frame is processed, and the keepalive runs, even if that thread only
/// sends. Messages then wait, up to limits.max_message_bytes; if more arrive, nothing is read until
/// a thread receives. Bytes that are not received yet do not count as silence. Thread: any thread
/// may send, ping or close at the same time; only one thread may receive.
class BlockingClient {
 public:
  BlockingClient(BlockingClient&&) noexcept;
  BlockingClient& operator=(BlockingClient&&) noexcept;
  /// Ends TCP if close() was not called. No thread may still use the object.
  ~BlockingClient();

  /// Waits for a message and stores its payload in `payload`, whose memory is reused. Waits for at
  /// most `timeout` if there is one. Errors: Errc::timed_out leaves the connection as it was. Any
  /// other error is the end of the connection: Errc::closed after a closing handshake, else the
  /// cause. close_info() has the details.
  Result<MessageType> receive(std::string& payload);
  Result<MessageType> receive(std::string& payload, std::chrono::nanoseconds timeout);

  /// Sends a message. Waits until the system has taken all of it, for at most timeouts.stall
  /// without progress. Messages of several threads stay whole, and those of one thread stay in
  /// order. `options`: whether compression may be used, if it was agreed on, and whether text is
  /// checked. Errors: Errc::text_not_utf8 if text is not UTF-8; it is not sent, and the connection
  /// stays open (SendOptions::check_text). Errc::closed after the closing handshake has begun, else
  /// the cause of the end. Messages that the peer sent before the end can still be received.
  Result<void> send(Message message, SendOptions options = {});
  /// Sends a ping of at most 125 bytes. Errors: as for send(). RFC 6455 §5.5.2.
  Result<void> ping(std::span<const std::byte> payload = {});

  /// Sends a Close frame after all messages, and waits for the peer's Close frame and for the peer
  /// to end TCP. If the peer makes no progress for `timeout`, it gives up; TCP ends in any case.
  /// Progress means that the peer takes bytes at Limits::min_drain_bytes_per_second. So nothing is
  /// lost on a slow link. Messages that were not received are dropped. A receive() in progress
  /// returns. Returns at once if the connection has ended. Returns true if both sides sent a Close
  /// frame and the peer received ours; close_info() has the details. RFC 6455 §7.1.1, §7.1.2.
  bool close(CloseCode code = CloseCode::normal, std::string_view reason = {},
             std::chrono::nanoseconds timeout = std::chrono::seconds(5));
  /// Ends TCP at once. A receive() or send() in progress returns. Thread: any.
  void terminate() noexcept;

  /// How the connection ended. It is valid after receive(), send(), ping() or close() has reported
  /// the end.
  CloseInfo close_info() const;
  /// The subprotocol that was agreed on; empty if none was. Lifetime: the client.
  std::string_view protocol() const noexcept;
  /// The agreement on compression; nothing if messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const;
  /// Returns the time from pings of the keepalive (Timeouts::silence) to their pongs; nothing
  /// before the first pong. Pings and pongs move only while a thread is in a call. So a pong that
  /// came between two calls counts as received in the second one. A ping that waits while messages
  /// fill the memory for received messages does not count, nor do the pongs of ping(). Thread: any.
  std::optional<RoundTrip> rtt() const;
  /// When the stages of dial() were done, since its call. Thread: any.
  StageTimes times() const noexcept;
  /// The value of a header field of the server's 101; empty if it is absent.
  std::string header(std::string_view name) const;
  /// The address of the server or, behind a proxy, of the proxy: e.g. "192.0.2.7:9001".
  /// "unix:" and the path for a Unix socket.
  std::string remote_address() const;

  /// For dial().
  explicit BlockingClient(std::unique_ptr<client::Session> session) noexcept;

 private:
  std::unique_ptr<client::Session> session_;
};

/// Connects to a ws:// or wss:// URL: looks up the name, tries each of its addresses (RFC 8305),
/// and runs the opening handshake. A name that is not a numeric address is looked up in another
/// thread, because the lookup cannot be interrupted at the deadline. The process has at most 8 such
/// threads, and at most 2 of them for the same name. They end when no lookup waits; further lookups
/// wait for them, and this time counts for the deadline. Errors: url_invalid, options_invalid,
/// invalid_header, name_not_resolved, errors of the system's connect, handshake_timeout,
/// tls_certificate_refused, tls_failed, upgrade_refused and the other errors of the handshake. The
/// message names host and stage. RFC 6455 §3, §4.1.
Result<BlockingClient> dial(std::string_view url, const DialOptions& options = {});

/// Returns whether another dial() may work although this one failed: the fault lies with the
/// network, or the server or a gateway answered 408, 425, 429, 500, 502, 503 or 504. Not so for a
/// wrong URL or option, a certificate file that cannot be read, a refused certificate, another
/// status, or an answer that breaks RFC 6455.
bool is_transient(const Error& failure) noexcept;

}  // namespace tern
