// Errors: Errc and its category, Error (a code with its details), Result<T>.
#pragma once

#include "tern/close.h"

#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tern {

/// tern's own errors. Errors of the system keep their errno in std::system_category().
enum class Errc {
  // Frames. Each sends 1002 unless another code is named.
  frame_reserved_bits = 1,   ///< RSV1-3 set without an extension that defines them, RFC 6455 §5.2
  frame_reserved_opcode,     ///< opcode 3-7 or 11-15, §5.2
  frame_unmasked,            ///< a client's frame without a mask, §5.1
  frame_masked,              ///< a server's frame with a mask, §5.1
  frame_length_not_minimal,  ///< a length in a longer form than necessary, §5.2
  frame_length_top_bit,      ///< a 64-bit length with its top bit set, §5.2
  control_frame_fragmented,  ///< FIN=0 on a control frame, §5.5
  control_frame_too_long,    ///< a control frame over 125 bytes, §5.5
  unexpected_continuation,   ///< a continuation without a message before it, §5.4
  expected_continuation,     ///< a new message inside a fragmented one, §5.4
  close_payload_too_short,   ///< a Close frame of one byte, §5.5.1
  close_code_invalid,        ///< a close code that may not be sent, §7.4
  close_reason_not_utf8,     ///< §5.5.1; 1007
  text_not_utf8,             ///< §8.1; 1007
  deflate_corrupt,     ///< a compressed message that cannot be inflated, RFC 7692 §7.2.2; 1007
  message_too_big,     ///< over limits.max_message_bytes, §7.4.1; 1009
  too_many_fragments,  ///< over limits.max_fragments; 1008

  // The opening handshake: causes for which a server refuses. The HTTP status is in brackets.
  http_malformed,               ///< the head violates the grammar of RFC 9112 [400]
  http_version_unsupported,     ///< not HTTP/1.1; a request may also be HTTP/1.0 [505]
  request_line_too_long,        ///< over limits.max_request_line_bytes [414]
  head_too_big,                 ///< over limits.max_head_bytes [431]
  too_many_header_fields,       ///< over limits.max_header_fields [431]
  host_invalid,                 ///< Host missing (in 1.1), twice or malformed, RFC 9112 §3.2 [400]
  request_with_body,            ///< a request with a body to a WebSocket, or by GET or HEAD [400]
  transfer_coding_unsupported,  ///< Transfer-Encoding has more than chunked, RFC 9112 §6.1 [501]
  body_malformed,               ///< the chunks of a body break the grammar of RFC 9112 §7.1 [400]
  body_too_big,                 ///< over limits.max_body_bytes [413]
  body_timeout,                 ///< not complete within timeouts.body [408]
  method_not_allowed,           ///< not GET [405 and Allow]
  upgrade_required,             ///< no upgrade, or HTTP/1.0, on a WebSocket route [426]
  upgrade_header_invalid,  ///< Connection or Upgrade lack their token, RFC 6455 §4.1, §4.2.1 [400]
  version_unsupported,     ///< Sec-WebSocket-Version is not 13, §4.4 [426; malformed 400]
  key_invalid,             ///< not exactly one Sec-WebSocket-Key of 16 bytes, §4.2.1 [400]
  protocol_list_invalid,   ///< Sec-WebSocket-Protocol is not a list of tokens, §4.1 [400]
  extension_list_invalid,  ///< Sec-WebSocket-Extensions breaks the grammar of §9.1 [400]
  origin_refused,          ///< Origin is not that of this server and not allowed, §10.2 [403]
  route_not_found,         ///< there is no route for this path [404]
  overloaded,              ///< a limit of the server is reached [503]

  // The opening handshake: causes for which a client refuses.
  upgrade_refused,           ///< the status is not 101, RFC 6455 §4.1; see Error::http_status()
  accept_invalid,            ///< Sec-WebSocket-Accept is missing or wrong, §4.1
  extension_not_offered,     ///< the server chose an extension we did not offer, §4.1
  extension_answer_invalid,  ///< the answer's parameters do not fit our offer, RFC 7692 §7.1
  protocol_not_offered,      ///< the server chose a subprotocol we did not offer, §4.1

  // Calls of the application.
  url_invalid,         ///< not a ws:// URL of RFC 6455 §3
  invalid_header,      ///< a name that is not a token, a value with control characters, or a
                       ///< field that tern writes itself; nothing was sent
  signal_not_blocked,  ///< on_signal needs a signal that every thread blocks
  signal_in_use,       ///< another loop or server of this process handles this signal
  already_running,     ///< run() was called while it runs
  closed,              ///< the connection (or loop, or server) has ended

  // Ends of a connection that no Close frame explains.
  end_of_stream,       ///< the peer ended TCP without a Close frame, RFC 6455 §7.1.5
  connection_reset,    ///< TCP ended with a reset or a broken pipe
  handshake_timeout,   ///< timeouts.handshake or the deadline of dial() has passed
  pong_timeout,        ///< no byte within timeouts.pong after our ping was written
  close_timeout,       ///< no answer within timeouts.close after our Close was written
  write_stalled,       ///< the peer read less than Limits::min_drain_bytes_per_second
  peer_too_slow,       ///< more bytes queued than limits.max_queued_bytes; 1008
  timed_out,           ///< the timeout of the call has passed; the connection stays open
  terminated,          ///< terminate() was called
  handler_threw,       ///< a handler of the application threw an exception; 1011
  no_memory,           ///< an allocation failed; 1011
  random_unavailable,  ///< the system's random source failed; 1011
  name_not_resolved,   ///< the resolver found no address

  // TLS. The message of the Error and the log have the details.
  tls_failed,                   ///< the handshake or a record failed, or the peer sent an alert
  tls_certificate_refused,      ///< the peer's certificate is not accepted, or a client sent none
  tls_own_certificate_refused,  ///< the peer's alert says that it does not accept our certificate,
                                ///< or that it wants one, RFC 8446 §6.2
  tls_truncated,                ///< the peer ended TCP without close_notify, RFC 8446 §6.1
  tls_options_invalid,          ///< a certificate, a key or another TLS option cannot be used

  options_invalid,  ///< an option or a route can never work; the message names it

  // The ways of a client to its server.
  proxy_refused,        ///< the proxy answered CONNECT with a status that is not 2xx, or its
                        ///< rules forbid the connection; see Error::http_status()
  proxy_auth_required,  ///< the proxy wants a name and a password, or others than were given
  proxy_failed,         ///< the proxy could not connect, or its answer is no HTTP or SOCKS5
  redirect_refused,     ///< a redirect that may not be followed; see Error::header("Location")
  too_many_redirects,   ///< more than DialOptions::max_redirects
  stopped,              ///< DialOptions::stop was requested, or Client::stop() was called
  attempt_failed,       ///< Attempt::fail() was called, or all copies of an Attempt were
                        ///< destroyed without a call
  attempt_given_up,     ///< Attempt::give_up() was called

  // Topics.
  topic_invalid,           ///< not a name of a topic, see is_topic_name()
  too_many_subscriptions,  ///< the connection has TopicLimits::max_subscriptions already
  too_many_topics,         ///< there are TopicLimits::max_topics already
  topics_unavailable,      ///< only connections of a server subscribe and publish

  proxy_header_invalid,  ///< a connection from ProxyProtocol::from has no valid PROXY header
};

/// The name of an Errc as it stands above, e.g. "origin_refused", for logs and metrics. It does not
/// change between versions. "unknown" if the value is not an Errc.
std::string_view errc_name(Errc errc) noexcept;
/// The category of Errc, named "tern".
const std::error_category& error_category() noexcept;
/// Makes `std::error_code(Errc)` work.
std::error_code make_error_code(Errc errc) noexcept;
/// The close code that tern sends for a failure: 1009 for a message that is too big, 1008 for
/// policies, 1007 for UTF-8 and compression, 1011 for our own faults, 1001 for a timeout, 1002 for
/// the others. RFC 6455 §7.4.1.
CloseCode close_code(Errc errc) noexcept;
/// The reason that tern sends with that code: the text of the Errc, at most 123 bytes. RFC 6455
/// §5.5.1.
std::string_view close_reason(Errc errc) noexcept;

}  // namespace tern

template <>
struct std::is_error_code_enum<tern::Errc> : std::true_type {};

namespace tern {

/// An error with its details. It has the size of one pointer, and is empty only if moved from.
class Error {
 public:
  /// The HTTP response of a server that did not send 101.
  struct Refusal {
    int status = 0;                                             ///< e.g. 403
    std::vector<std::pair<std::string, std::string>> fields{};  ///< header fields as received
    std::string body{};                                         ///< its first KiB
  };

  /// `stage` names stage and host, e.g. "connect 127.0.0.1:9001". message() begins with it.
  explicit Error(std::error_code code, std::string_view stage = {}) noexcept;
  /// An error with the HTTP response that caused it.
  Error(std::error_code code, std::string_view stage, Refusal refusal) noexcept;
  /// An error whose message() is only `text`, for cases in which the text of the code adds nothing.
  static Error described(std::error_code code, std::string_view text) noexcept;
  Error(const Error& other) noexcept;
  Error(Error&& other) noexcept;
  Error& operator=(Error other) noexcept;
  ~Error();

  /// For comparison: `error.code() == tern::Errc::timed_out`.
  std::error_code code() const noexcept;
  /// A text for people with stage and reason, e.g. "connect 127.0.0.1:9001: Connection refused".
  /// For a refused upgrade also the HTTP status and the first line of the body, if the body is
  /// plain text.
  std::string message() const;
  /// The HTTP status of a refused upgrade; 0 if there was none.
  int http_status() const noexcept;
  /// A header field of a refused upgrade, by name in any case; empty if it is absent. Lifetime of
  /// the view: this Error.
  std::string_view header(std::string_view name) const noexcept;
  /// All header fields of a refused upgrade, as received; none if there was no answer. Lifetime:
  /// this Error.
  std::span<const std::pair<std::string, std::string>> headers() const noexcept;
  /// The first KiB of a refused upgrade's body. Lifetime of the view: this Error.
  std::string_view body() const noexcept;

 private:
  struct Detail;
  const Detail* detail_;
};

/// A T, or the error that explains why there is no T. It is true if it has a T. It has a subset of
/// the interface of std::expected; only value() throws.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  Result(Errc errc) : Result(Error(errc)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  bool has_value() const noexcept { return state_.index() == 0; }
  /// The value; the Result must be true.
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  /// The error; the Result must be false.
  const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  Error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }
  /// Returns the value, or throws std::system_error.
  T& value() & {
    if (!*this) throw std::system_error(error().code(), error().message());
    return **this;
  }
  T value() && {
    if (!*this) throw std::system_error(error().code(), error().message());
    return std::move(**this);
  }

 private:
  std::variant<T, Error> state_;
};

/// Success, or an error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  Result(Errc errc) : Result(Error(errc)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  bool has_value() const noexcept { return state_.index() == 0; }
  /// The error; the Result must be false.
  const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  /// Does nothing on success, else throws std::system_error.
  void value() const {
    if (!*this) throw std::system_error(error().code(), error().message());
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace tern
