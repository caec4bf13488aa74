#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace tern::handshake {

/// The value of Sec-WebSocket-Accept.
using AcceptValue = std::array<char, 28>;

/// Returns the value that proves that a server read this Sec-WebSocket-Key. Returns nothing if
/// `key` does not have 24 characters, or if SHA-1 is not available (no memory, or a libcrypto
/// without it). RFC 6455 §4.2.2 step 5.
std::optional<AcceptValue> accept_for(std::string_view key) noexcept;

/// Whether `value` is the base64 form of 16 bytes: 22 characters of the alphabet and "==". Bits of
/// the last character that encode nothing may have any value, because RFC 4648 §3.5 leaves this to
/// the receiver. RFC 6455 §4.1, §4.2.1.
bool is_key(std::string_view value) noexcept;

}  // namespace tern::handshake
