// The bytes of a publication on a channel and in a stream.
//
// A payload from another program has no envelope. No UTF-8 contains the byte 0xFE, with which an
// envelope begins, so a text is never mistaken for one.
#pragma once

#include "tern/bridge.h"
#include "tern/message.h"
#include "tern/topics.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tern::redis {

/// Appends type and origin in 20 bytes, then the message: 0xFE, 1, the type, 0, and the two numbers
/// of the origin, most significant byte first. Throws std::bad_alloc.
void append_envelope(std::string& to, Message message, const Origin& origin);

/// A publication. Lifetime: the bytes that were opened.
struct Opened {
  Message message{};
  Origin origin{};
};

/// Opens an envelope. Other bytes are a text of an unknown origin; whether it is UTF-8 is not
/// checked.
Opened open_envelope(std::string_view bytes) noexcept;

/// The payload that publish_script sends: 0xFE, 2, "epoch:offset", a line feed, the bytes of the
/// stream.
struct Notification {
  Position position{};
  std::string_view bytes{};
};

/// Returns nothing if it is not such a notification.
std::optional<Notification> parse_notification(std::string_view payload) noexcept;

}  // namespace tern::redis
