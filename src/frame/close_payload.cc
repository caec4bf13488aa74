// Decodes and encodes the payload of a Close frame (RFC 6455 §5.5.1). Decoding is strict: a code
// outside the sets of §7.4 is a protocol error. Encoding never fails, because the engine often
// sends a Close frame when another operation has already failed.
#include "frame/close_payload.h"

#include "base/endian.h"
#include "simd/utf8.h"

#include <cstring>

namespace tern::frame {
namespace {

// Cuts the reason at the end of a character: steps back over the continuation bytes (10xxxxxx) of
// the character that does not fit.
std::string_view cut(std::string_view reason) noexcept {
  if (reason.size() <= max_close_reason) return reason;
  std::size_t size = max_close_reason;
  while (size > 0 && (static_cast<unsigned char>(reason[size]) & 0xC0u) == 0x80u) --size;
  return reason.substr(0, size);
}

}  // namespace

ClosePayload decode_close(std::span<const std::byte> payload) noexcept {
  ClosePayload result;
  if (payload.empty()) return result;
  if (payload.size() == 1) {
    result.error = Errc::close_payload_too_short;
    return result;
  }
  const auto code = to_close_code(base::load_be16(payload.data()));
  if (!code) {
    result.error = Errc::close_code_invalid;
    return result;
  }
  const auto reason = payload.subspan(2);
  if (!simd::utf8_valid(reason)) {
    result.error = Errc::close_reason_not_utf8;
    return result;
  }
  result.code = *code;
  result.reason = {reinterpret_cast<const char*>(reason.data()), reason.size()};
  return result;
}

std::size_t encode_close(std::span<std::byte, max_control_payload> out, CloseCode code,
                         std::string_view reason) noexcept {
  if (code == CloseCode::no_status) return 0;
  if (!may_be_sent(code)) code = CloseCode::internal_error;
  reason = cut(reason);
  if (!simd::utf8_valid(std::as_bytes(std::span(reason)))) reason = {};
  base::store_be16(out.data(), static_cast<std::uint16_t>(code));
  if (!reason.empty()) std::memcpy(out.data() + 2, reason.data(), reason.size());
  return 2 + reason.size();
}

}  // namespace tern::frame
