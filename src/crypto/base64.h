#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::crypto {

/// How many characters base64 makes of `octets` octets, padding included.
constexpr std::size_t base64_size(std::size_t octets) noexcept { return (octets + 2) / 3 * 4; }

/// Writes the base64 of `data`, padded and without a final NUL, to the start of `to`, which has
/// room for base64_size(data.size()) characters; returns how many those are.
/// Thread: any. RFC 4648 §4.
std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept;

/// The same as a string.
std::string base64_encode(std::span<const std::byte> data);

/// The 16 octets of a Sec-WebSocket-Key: exactly 22 characters of the alphabet and "==". Bits of
/// the last character that encode nothing may have any value: the key is never used decoded, and
/// RFC 4648 §3.5 leaves it to the decoder.
/// Thread: any. Errors: nothing if `text` is anything else. RFC 6455 §4.1, §4.2.1.
std::optional<std::array<std::byte, 16>> base64_decode_16(std::string_view text) noexcept;

}  // namespace tern::crypto
