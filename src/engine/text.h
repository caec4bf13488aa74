// Text must be UTF-8 in both directions (RFC 6455 §5.6, §8.1).
#pragma once

#include "tern/message.h"

#include "simd/utf8.h"

namespace tern::engine {

/// Returns whether the message may be sent with its type: text must be UTF-8.
inline bool is_valid_text(Message message) noexcept {
  return !message.is_text() || simd::utf8_valid(message.bytes());
}

}  // namespace tern::engine
