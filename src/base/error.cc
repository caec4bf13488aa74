// Errors: what each Errc says to people and puts on the wire, and the box behind tern::Error.
//
// An Error is made where something has already gone wrong, perhaps for want of memory, so making or
// copying one never throws. Its details are boxed once and shared by all copies (they never change,
// so a count is enough). When the box cannot be had, the Error points at a box that is part of the
// program and says `no_memory`: that is the truth by then.

#include "tern/error.h"

#include "base/reason_phrase.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

namespace tern {
namespace {

std::string_view tls_text_of(Errc errc) noexcept {
  switch (errc) {
    case Errc::tls_failed:
      return "TLS failed";
    case Errc::tls_certificate_refused:
      return "the peer's certificate is refused";
    case Errc::tls_truncated:
      return "the peer ended TCP without ending TLS first";
    default:
      return "TLS cannot be set up like this";
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
    case Errc::http_version_unsupported: return "the HTTP version is not 1.1";
    case Errc::request_line_too_long: return "the request line is longer than the limit";
    case Errc::head_too_big: return "the HTTP head is larger than the limit";
    case Errc::too_many_header_fields: return "the HTTP head has more fields than the limit";
    case Errc::host_invalid: return "the request needs exactly one valid Host field";
    case Errc::request_with_body: return "the request has a body, which is not taken here";
    case Errc::method_not_allowed: return "the method is not allowed here";
    case Errc::upgrade_required: return "this is a WebSocket: \"Upgrade: websocket\" is needed";
    case Errc::upgrade_header_invalid: return "the Upgrade or Connection field lacks its token";
    case Errc::version_unsupported: return "Sec-WebSocket-Version is not 13";
    case Errc::key_invalid: return "Sec-WebSocket-Key is not, once, 16 bytes in base64";
    case Errc::protocol_list_invalid: return "Sec-WebSocket-Protocol is no list of distinct tokens";
    case Errc::extension_list_invalid: return "Sec-WebSocket-Extensions is malformed";
    case Errc::origin_refused: return "the Origin is not allowed";
    case Errc::route_not_found: return "nothing is served at this path";
    case Errc::overloaded: return "the server is at its limit";

    case Errc::upgrade_refused: return "the server did not switch to WebSocket";
    case Errc::accept_invalid: return "Sec-WebSocket-Accept is missing or wrong";
    case Errc::extension_not_offered: return "the server chose an extension that was not offered";
    case Errc::extension_answer_invalid: return "the server's compression is not what was offered";
    case Errc::protocol_not_offered: return "the server chose a subprotocol that was not offered";

    case Errc::url_invalid: return "not a valid ws:// or wss:// URL";
    case Errc::invalid_header: return "a header field may not be sent";
    case Errc::signal_not_blocked: return "the signal must be blocked in every thread first";
    case Errc::already_running: return "it is running already";
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
    case Errc::tls_options_invalid: return tls_text_of(errc);
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

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Field names are compared without case (RFC 9110 §5.1); `base` may not use the function of `http`.
bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

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

struct Error::Detail {
  std::error_code code{};
  std::string stage{};
  Refusal refusal{};
  mutable std::atomic<std::size_t> owners = 1;

  // The box of the program itself: never counted down to 0, since its first owner never leaves.
  static const Detail* no_memory() noexcept {
    alignas(Detail) static std::byte room[sizeof(Detail)];
    static const Detail* const detail = new (room) Detail{.code = Errc::no_memory};
    return detail;
  }

  static const Detail* box(std::error_code code, std::string_view stage,
                           Refusal&& refusal) noexcept {
    try {
      return new Detail{code, std::string(stage), std::move(refusal)};
    } catch (const std::bad_alloc&) {
      return add_owner(no_memory());
    }
  }

  static const Detail* add_owner(const Detail* detail) noexcept {
    if (detail) detail->owners.fetch_add(1, std::memory_order_relaxed);
    return detail;
  }

  static void remove_owner(const Detail* detail) noexcept {
    if (detail && detail->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete detail;
  }
};

Error::Error(std::error_code code, std::string_view stage) noexcept
    : detail_(Detail::box(code, stage, {})) {}

Error::Error(std::error_code code, std::string_view stage, Refusal refusal) noexcept
    : detail_(Detail::box(code, stage, std::move(refusal))) {}

Error::Error(const Error& other) noexcept : detail_(Detail::add_owner(other.detail_)) {}

Error::Error(Error&& other) noexcept : detail_(std::exchange(other.detail_, nullptr)) {}

Error& Error::operator=(Error other) noexcept {
  std::swap(detail_, other.detail_);
  return *this;
}

Error::~Error() { Detail::remove_owner(detail_); }

std::error_code Error::code() const noexcept { return detail_ ? detail_->code : std::error_code(); }

std::string Error::message() const {
  if (!detail_) return {};
  std::string text = detail_->stage;
  if (!text.empty()) text += ": ";
  text += detail_->code.message();
  if (const int status = http_status(); status != 0) {
    const std::string_view phrase = base::reason_phrase(status);
    text += " (HTTP " + std::to_string(status);
    if (!phrase.empty()) text.append(" ").append(phrase);
    text += ')';
  }
  return text;
}

int Error::http_status() const noexcept { return detail_ ? detail_->refusal.status : 0; }

std::string_view Error::header(std::string_view name) const noexcept {
  if (detail_) {
    for (const auto& [field_name, value] : detail_->refusal.fields) {
      if (same_name(field_name, name)) return value;
    }
  }
  return {};
}

std::string_view Error::body() const noexcept {
  return detail_ ? std::string_view(detail_->refusal.body) : std::string_view();
}

}  // namespace tern
