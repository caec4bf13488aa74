// The payload of a Close frame: it is empty, or it has a code and a reason in UTF-8 (RFC 6455
// §5.5.1).
#pragma once

#include "tern/close.h"
#include "tern/error.h"

#include "frame/header.h"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace tern::frame {

inline constexpr std::size_t max_close_reason = max_control_payload - 2;

struct ClosePayload {
  CloseCode code = CloseCode::no_status;
  std::string_view reason{};  // a view of the payload
  Errc error{};
};

/// Decodes the payload of a Close frame from the peer. The reason is a view of `payload`.
/// Errors: close_payload_too_short, close_code_invalid, close_reason_not_utf8.
ClosePayload decode_close(std::span<const std::byte> payload) noexcept;

/// Encodes the payload of our Close frame into `out` and returns its size. The result is always
/// valid: `no_status` writes nothing, a code that may not be sent becomes 1011, a reason over 123
/// bytes is cut at a character, and a reason that is not UTF-8 is left out.
std::size_t encode_close(std::span<std::byte, max_control_payload> out, CloseCode code,
                         std::string_view reason) noexcept;

}  // namespace tern::frame
