// The name of each Errc, its text for people, and its close code and reason on the wire.
#include "tern/error.h"

namespace tern {
namespace {

std::string_view setup_text_of(Errc errc) noexcept {
  switch (errc) {
    case Errc::tls_failed:
      return "TLS failed";
    case Errc::tls_certificate_refused:
      return "the peer's certificate is refused";
    case Errc::tls_truncated:
      return "the peer ended TCP without ending TLS first";
    case Errc::options_invalid:
      return "an option can never work";
    default:
      return "the TLS options cannot be used";
  }
}

std::string_view text_of(Errc errc) noexcept {
  switch (errc) {
    // clang-format off
    case Errc::frame_reserved_bits: return "a frame has a reserved bit set";
    case Errc::frame_reserved_opcode: return "a frame has a reserved opcode";
    case Errc::frame_unmasked: return "a frame from the client is not masked";
    case Errc::frame_masked: return "a frame from the server is masked";
    case Errc::frame_length_not_minimal: return "a frame's length is not in its shortest form";
    case Errc::frame_length_top_bit: return "a frame's 64-bit length has its top bit set";
    case Errc::control_frame_fragmented: return "a control frame is fragmented";
    case Errc::control_frame_too_long: return "a control frame is longer than 125 bytes";
    case Errc::unexpected_continuation: return "a continuation frame has nothing to continue";
    case Errc::expected_continuation: return "a new message began inside a fragmented one";
    case Errc::close_payload_too_short: return "a Close frame has a payload of one byte";
    case Errc::close_code_invalid: return "a Close frame has a code that may not be sent";
    case Errc::close_reason_not_utf8: return "the reason in a Close frame is not UTF-8";
    case Errc::text_not_utf8: return "a text message is not UTF-8";
    case Errc::deflate_corrupt: return "a compressed message cannot be inflated";
    case Errc::message_too_big: return "a message is larger than the limit";
    case Errc::too_many_fragments: return "a message has more fragments than the limit";

    case Errc::http_malformed: return "the HTTP head is malformed";
    case Errc::http_version_unsupported: return "the HTTP version is not supported";
    case Errc::request_line_too_long: return "the request line is longer than the limit";
    case Errc::head_too_big: return "the HTTP head is larger than the limit";
    case Errc::too_many_header_fields: return "the HTTP head has more fields than the limit";
    case Errc::host_invalid: return "the request needs exactly one valid Host field";
    case Errc::request_with_body: return "the request has a body, which is not allowed";
    case Errc::method_not_allowed: return "the method is not allowed here";
    case Errc::upgrade_required: return "this is a WebSocket: \"Upgrade: websocket\" is needed";
    case Errc::upgrade_header_invalid: return "the Upgrade or Connection field lacks its token";
    case Errc::version_unsupported: return "Sec-WebSocket-Version is not 13";
    case Errc::key_invalid: return "one Sec-WebSocket-Key of 16 bytes in base64 is needed";
    case Errc::protocol_list_invalid: return "Sec-WebSocket-Protocol must list distinct tokens";
    case Errc::extension_list_invalid: return "Sec-WebSocket-Extensions is malformed";
    case Errc::origin_refused: return "the Origin is not allowed";
    case Errc::route_not_found: return "nothing is served at this path";
    case Errc::overloaded: return "the server is at its limit";

    case Errc::upgrade_refused: return "the server did not switch to WebSocket";
    case Errc::accept_invalid: return "Sec-WebSocket-Accept is missing or wrong";
    case Errc::extension_not_offered: return "the server chose an extension that was not offered";
    case Errc::extension_answer_invalid: return "the server chose compression that was not offered";
    case Errc::protocol_not_offered: return "the server chose a subprotocol that was not offered";
    case Errc::url_invalid: return "not a valid ws:// or wss:// URL";
    case Errc::invalid_header: return "a header field may not be sent";
    case Errc::signal_not_blocked: return "the signal must be blocked in every thread first";
    case Errc::signal_in_use: return "another loop or server takes this signal: call stop() there";
    case Errc::already_running: return "the loop or server is already running";
    case Errc::closed: return "the connection has ended";

    case Errc::end_of_stream: return "the peer ended TCP without a Close frame";
    case Errc::connection_reset: return "the connection was reset";
    case Errc::handshake_timeout: return "the opening handshake took too long";
    case Errc::pong_timeout: return "the peer did not answer a ping in time";
    case Errc::close_timeout: return "the peer did not answer the Close frame in time";
    case Errc::write_stalled: return "the peer stopped taking bytes";
    case Errc::peer_too_slow: return "the peer is too slow: the send queue is full";
    case Errc::timed_out: return "the deadline passed";
    case Errc::terminated: return "the connection was terminated";
    case Errc::handler_threw: return "an exception left a handler of the application";
    case Errc::no_memory: return "out of memory";
    case Errc::random_unavailable: return "the system's random source failed";
    case Errc::name_not_resolved: return "the name has no address";
    case Errc::tls_failed: case Errc::tls_certificate_refused: case Errc::tls_truncated:
    case Errc::tls_options_invalid: case Errc::options_invalid: return setup_text_of(errc);
      // clang-format on
  }
  return "unknown error";
}

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "tern"; }
  std::string message(int value) const override {
    return std::string(text_of(static_cast<Errc>(value)));
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
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

std::string_view close_reason(Errc errc) noexcept { return text_of(errc); }

std::string_view errc_name(Errc errc) noexcept {
  switch (errc) {
    // clang-format off
    case Errc::frame_reserved_bits: return "frame_reserved_bits";
    case Errc::frame_reserved_opcode: return "frame_reserved_opcode";
    case Errc::frame_unmasked: return "frame_unmasked";
    case Errc::frame_masked: return "frame_masked";
    case Errc::frame_length_not_minimal: return "frame_length_not_minimal";
    case Errc::frame_length_top_bit: return "frame_length_top_bit";
    case Errc::control_frame_fragmented: return "control_frame_fragmented";
    case Errc::control_frame_too_long: return "control_frame_too_long";
    case Errc::unexpected_continuation: return "unexpected_continuation";
    case Errc::expected_continuation: return "expected_continuation";
    case Errc::close_payload_too_short: return "close_payload_too_short";
    case Errc::close_code_invalid: return "close_code_invalid";
    case Errc::close_reason_not_utf8: return "close_reason_not_utf8";
    case Errc::text_not_utf8: return "text_not_utf8";
    case Errc::deflate_corrupt: return "deflate_corrupt";
    case Errc::message_too_big: return "message_too_big";
    case Errc::too_many_fragments: return "too_many_fragments";
    case Errc::http_malformed: return "http_malformed";
    case Errc::http_version_unsupported: return "http_version_unsupported";
    case Errc::request_line_too_long: return "request_line_too_long";
    case Errc::head_too_big: return "head_too_big";
    case Errc::too_many_header_fields: return "too_many_header_fields";
    case Errc::host_invalid: return "host_invalid";
    case Errc::request_with_body: return "request_with_body";
    case Errc::method_not_allowed: return "method_not_allowed";
    case Errc::upgrade_required: return "upgrade_required";
    case Errc::upgrade_header_invalid: return "upgrade_header_invalid";
    case Errc::version_unsupported: return "version_unsupported";
    case Errc::key_invalid: return "key_invalid";
    case Errc::protocol_list_invalid: return "protocol_list_invalid";
    case Errc::extension_list_invalid: return "extension_list_invalid";
    case Errc::origin_refused: return "origin_refused";
    case Errc::route_not_found: return "route_not_found";
    case Errc::overloaded: return "overloaded";
    case Errc::upgrade_refused: return "upgrade_refused";
    case Errc::accept_invalid: return "accept_invalid";
    case Errc::extension_not_offered: return "extension_not_offered";
    case Errc::extension_answer_invalid: return "extension_answer_invalid";
    case Errc::protocol_not_offered: return "protocol_not_offered";
    case Errc::url_invalid: return "url_invalid";
    case Errc::invalid_header: return "invalid_header";
    case Errc::signal_not_blocked: return "signal_not_blocked";
    case Errc::signal_in_use: return "signal_in_use";
    case Errc::already_running: return "already_running";
    case Errc::closed: return "closed";
    case Errc::end_of_stream: return "end_of_stream";
    case Errc::connection_reset: return "connection_reset";
    case Errc::handshake_timeout: return "handshake_timeout";
    case Errc::pong_timeout: return "pong_timeout";
    case Errc::close_timeout: return "close_timeout";
    case Errc::write_stalled: return "write_stalled";
    case Errc::peer_too_slow: return "peer_too_slow";
    case Errc::timed_out: return "timed_out";
    case Errc::terminated: return "terminated";
    case Errc::handler_threw: return "handler_threw";
    case Errc::no_memory: return "no_memory";
    case Errc::random_unavailable: return "random_unavailable";
    case Errc::name_not_resolved: return "name_not_resolved";
    case Errc::tls_failed: return "tls_failed";
    case Errc::tls_certificate_refused: return "tls_certificate_refused";
    case Errc::tls_truncated: return "tls_truncated";
    case Errc::tls_options_invalid: return "tls_options_invalid";
    case Errc::options_invalid: return "options_invalid";
      // clang-format on
  }
  return "unknown";
}

}  // namespace tern
