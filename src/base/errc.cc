// The names and the texts of Errc, and the Close code or HTTP status of each. A table holds them in
// the order of the enumerators, so that the value is the place. The compiler checks this order.
#include "tern/error.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <new>

namespace tern {
namespace {

struct Row {
  Errc errc;
  std::string_view name;  // stays the same from version to version
  std::string_view text;  // for people, and the reason in a Close frame
};

constexpr Row rows[] = {
    {Errc::frame_reserved_bits, "frame_reserved_bits", "a frame has a reserved bit set"},
    {Errc::frame_reserved_opcode, "frame_reserved_opcode", "a frame has a reserved opcode"},
    {Errc::frame_unmasked, "frame_unmasked", "a frame from the client is not masked"},
    {Errc::frame_masked, "frame_masked", "a frame from the server is masked"},
    {Errc::frame_length_not_minimal, "frame_length_not_minimal",
     "a frame's length is not in its shortest form"},
    {Errc::frame_length_top_bit, "frame_length_top_bit",
     "a frame's 64-bit length has its top bit set"},
    {Errc::control_frame_fragmented, "control_frame_fragmented", "a control frame is fragmented"},
    {Errc::control_frame_too_long, "control_frame_too_long",
     "a control frame is longer than 125 bytes"},
    {Errc::unexpected_continuation, "unexpected_continuation",
     "a continuation frame has nothing to continue"},
    {Errc::expected_continuation, "expected_continuation",
     "a new message began inside a fragmented one"},
    {Errc::close_payload_too_short, "close_payload_too_short",
     "a Close frame has a payload of one byte"},
    {Errc::close_code_invalid, "close_code_invalid",
     "a Close frame has a code that may not be sent"},
    {Errc::close_reason_not_utf8, "close_reason_not_utf8",
     "the reason in a Close frame is not UTF-8"},
    {Errc::text_not_utf8, "text_not_utf8", "a text message is not UTF-8"},
    {Errc::deflate_corrupt, "deflate_corrupt", "a compressed message cannot be inflated"},
    {Errc::message_too_big, "message_too_big", "a message is larger than the limit"},
    {Errc::too_many_fragments, "too_many_fragments", "a message has more fragments than the limit"},
    {Errc::http_malformed, "http_malformed", "the HTTP head is malformed"},
    {Errc::http_version_unsupported, "http_version_unsupported",
     "the HTTP version is not supported"},
    {Errc::request_line_too_long, "request_line_too_long",
     "the request line is longer than the limit"},
    {Errc::head_too_big, "head_too_big", "the HTTP head is larger than the limit"},
    {Errc::too_many_header_fields, "too_many_header_fields",
     "the HTTP head has more fields than the limit"},
    {Errc::host_invalid, "host_invalid", "the request needs exactly one valid Host field"},
    {Errc::request_with_body, "request_with_body", "the request has a body, which is not allowed"},
    {Errc::transfer_coding_unsupported, "transfer_coding_unsupported",
     "no Transfer-Encoding but chunked is supported"},
    {Errc::body_malformed, "body_malformed", "the chunks of the body are malformed"},
    {Errc::body_too_big, "body_too_big", "the body is larger than the limit"},
    {Errc::body_timeout, "body_timeout", "the body took too long"},
    {Errc::method_not_allowed, "method_not_allowed", "the method is not allowed here"},
    {Errc::upgrade_required, "upgrade_required",
     "this is a WebSocket: \"Upgrade: websocket\" is needed"},
    {Errc::upgrade_header_invalid, "upgrade_header_invalid",
     "the Upgrade or Connection field lacks its token"},
    {Errc::version_unsupported, "version_unsupported", "Sec-WebSocket-Version is not 13"},
    {Errc::key_invalid, "key_invalid", "one Sec-WebSocket-Key of 16 bytes in base64 is needed"},
    {Errc::protocol_list_invalid, "protocol_list_invalid",
     "Sec-WebSocket-Protocol must list distinct tokens"},
    {Errc::extension_list_invalid, "extension_list_invalid",
     "Sec-WebSocket-Extensions is malformed"},
    {Errc::origin_refused, "origin_refused", "the Origin is not allowed"},
    {Errc::route_not_found, "route_not_found", "nothing is served at this path"},
    {Errc::overloaded, "overloaded", "the server is at its limit"},
    {Errc::upgrade_refused, "upgrade_refused", "the server did not switch to WebSocket"},
    {Errc::accept_invalid, "accept_invalid", "Sec-WebSocket-Accept is missing or wrong"},
    {Errc::extension_not_offered, "extension_not_offered",
     "the server chose an extension that was not offered"},
    {Errc::extension_answer_invalid, "extension_answer_invalid",
     "the server chose compression that was not offered"},
    {Errc::protocol_not_offered, "protocol_not_offered",
     "the server chose a subprotocol that was not offered"},
    {Errc::url_invalid, "url_invalid", "not a valid ws:// or wss:// URL"},
    {Errc::invalid_header, "invalid_header", "a header field may not be sent"},
    {Errc::signal_not_blocked, "signal_not_blocked",
     "the signal must be blocked in every thread first"},
    {Errc::signal_in_use, "signal_in_use",
     "another loop or server takes this signal: call stop() there"},
    {Errc::already_running, "already_running", "the loop or server is already running"},
    {Errc::closed, "closed", "the connection has ended"},
    {Errc::end_of_stream, "end_of_stream", "the peer ended TCP without a Close frame"},
    {Errc::connection_reset, "connection_reset", "the connection was reset"},
    {Errc::handshake_timeout, "handshake_timeout", "the opening handshake took too long"},
    {Errc::pong_timeout, "pong_timeout", "the peer did not answer a ping in time"},
    {Errc::close_timeout, "close_timeout", "the peer did not answer the Close frame in time"},
    {Errc::write_stalled, "write_stalled", "the peer stopped taking bytes"},
    {Errc::peer_too_slow, "peer_too_slow", "the peer is too slow: the send queue is full"},
    {Errc::timed_out, "timed_out", "the deadline passed"},
    {Errc::terminated, "terminated", "the connection was terminated"},
    {Errc::handler_threw, "handler_threw", "an exception left a handler of the application"},
    {Errc::no_memory, "no_memory", "out of memory"},
    {Errc::random_unavailable, "random_unavailable", "the system's random source failed"},
    {Errc::name_not_resolved, "name_not_resolved", "the name has no address"},
    {Errc::tls_failed, "tls_failed", "TLS failed"},
    {Errc::tls_certificate_refused, "tls_certificate_refused", "the peer's certificate is refused"},
    {Errc::tls_own_certificate_refused, "tls_own_certificate_refused",
     "the peer refused our certificate or wants one"},
    {Errc::tls_truncated, "tls_truncated", "the peer ended TCP without ending TLS first"},
    {Errc::tls_options_invalid, "tls_options_invalid", "the TLS options cannot be used"},
    {Errc::options_invalid, "options_invalid", "an option can never work"},
    {Errc::proxy_refused, "proxy_refused", "the proxy refused to connect"},
    {Errc::proxy_auth_required, "proxy_auth_required", "the proxy wants a name and a password"},
    {Errc::proxy_failed, "proxy_failed", "the proxy failed"},
    {Errc::redirect_refused, "redirect_refused", "the redirect may not be followed"},
    {Errc::too_many_redirects, "too_many_redirects", "there were too many redirects"},
    {Errc::stopped, "stopped", "a stop was requested"},
    {Errc::attempt_failed, "attempt_failed", "the attempt was not made"},
    {Errc::attempt_given_up, "attempt_given_up", "the application gave up"},
    {Errc::topic_invalid, "topic_invalid",
     "a topic's name has 1 to 255 bytes and no control characters"},
    {Errc::too_many_subscriptions, "too_many_subscriptions",
     "the connection has too many subscriptions"},
    {Errc::too_many_topics, "too_many_topics", "the server has too many topics"},
    {Errc::topics_unavailable, "topics_unavailable", "only a server has topics"},
    {Errc::proxy_header_invalid, "proxy_header_invalid", "the PROXY header is missing or invalid"},
};

constexpr bool rows_are_in_order() {
  int value = 0;
  return std::ranges::all_of(rows, [&](Row row) { return static_cast<int>(row.errc) == ++value; });
}
static_assert(rows_are_in_order());

constexpr Row unknown{Errc{}, "unknown", "unknown error"};

const Row& row_of(Errc errc) noexcept {
  const std::size_t place = static_cast<std::size_t>(errc) - 1;
  return place < std::size(rows) ? rows[place] : unknown;
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tern"; }
  std::string message(int value) const override {
    return std::string(row_of(static_cast<Errc>(value)).text);
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  // It is never destroyed, because threads may still make and read errors when main returns.
  alignas(Category) static std::byte room[sizeof(Category)];
  static const Category* const category = new (room) Category;
  return *category;
}

std::error_code make_error_code(Errc errc) noexcept {
  return {static_cast<int>(errc), error_category()};
}

CloseCode close_code(Errc errc) noexcept {
  switch (errc) {
    case Errc::close_reason_not_utf8:
    case Errc::text_not_utf8:
    case Errc::deflate_corrupt:
      return CloseCode::invalid_payload;
    case Errc::too_many_fragments:
    case Errc::peer_too_slow:
      return CloseCode::policy_violation;
    case Errc::message_too_big:
      return CloseCode::message_too_big;
    case Errc::handler_threw:
    case Errc::no_memory:
    case Errc::random_unavailable:
      return CloseCode::internal_error;
    case Errc::handshake_timeout:
    case Errc::pong_timeout:
    case Errc::close_timeout:
    case Errc::write_stalled:
    case Errc::timed_out:
      return CloseCode::going_away;
    default:
      return CloseCode::protocol_error;
  }
}

std::string_view close_reason(Errc errc) noexcept { return row_of(errc).text; }

std::string_view errc_name(Errc errc) noexcept { return row_of(errc).name; }

}  // namespace tern
