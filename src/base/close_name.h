#pragma once

#include "tern/close.h"

#include <string_view>

namespace tern::base {

/// Returns the meaning of a close code in two or three words; empty for the codes of applications.
/// RFC 6455 §7.4.1.
constexpr std::string_view close_name(CloseCode code) noexcept {
  switch (code) {
    // clang-format off
    case CloseCode::normal: return "normal";
    case CloseCode::going_away: return "going away";
    case CloseCode::protocol_error: return "protocol error";
    case CloseCode::unsupported_data: return "unsupported data";
    case CloseCode::no_status: return "no code";
    case CloseCode::abnormal: return "no Close frame";
    case CloseCode::invalid_payload: return "invalid payload";
    case CloseCode::policy_violation: return "policy violation";
    case CloseCode::message_too_big: return "message too big";
    case CloseCode::mandatory_extension: return "extension missing";
    case CloseCode::internal_error: return "internal error";
    case CloseCode::service_restart: return "service restart";
    case CloseCode::try_again_later: return "try again later";
    case CloseCode::bad_gateway: return "bad gateway";
      // clang-format on
  }
  return "";
}

}  // namespace tern::base
