// The payload of a Close frame, RFC 6455 §5.5.1: nothing, or a code and a reason in UTF-8.
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

/// Decodes what a peer sent. Errors: close_payload_too_short, close_code_invalid,
/// close_reason_not_utf8.
ClosePayload decode_close(std::span<const std::byte> payload) noexcept;

/// Writes what we send to `out` and returns its size. `no_status` writes nothing; a code that may
/// not be sent becomes 1011; a reason over 123 bytes is cut at a character, one that is not UTF-8
/// is left out: what we send is always valid.
std::size_t encode_close(std::span<std::byte, max_control_payload> out, CloseCode code,
                         std::string_view reason) noexcept;

}  // namespace tern::frame
