#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace tern::handshake {

/// The value of Sec-WebSocket-Accept.
using AcceptValue = std::array<char, 28>;

/// The proof that a server read this Sec-WebSocket-Key, RFC 6455 §4.2.2 step 5. Nothing when
/// `key` has not the 24 characters of one, or SHA-1 is not to be had (no memory, or a libcrypto
/// without it).
std::optional<AcceptValue> accept_for(std::string_view key) noexcept;

/// Whether it is the base64 form of 16 bytes: 22 characters of the alphabet and "==". Bits of the
/// last character that encode nothing may have any value: RFC 4648 §3.5 leaves it to the reader.
/// RFC 6455 §4.1, §4.2.1.
bool is_key(std::string_view value) noexcept;

}  // namespace tern::handshake
