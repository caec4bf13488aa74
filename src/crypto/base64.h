#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tern::crypto {

/// How many characters base64 makes of `octets` octets, padding included.
constexpr std::size_t base64_size(std::size_t octets) noexcept { return (octets + 2) / 3 * 4; }

/// Writes the base64 of `data`, padded and without a final NUL, to the start of `to`, which has
/// room for base64_size(data.size()) characters; returns how many those are.
/// Thread: any. RFC 4648 §4.
std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept;

/// The same as a string.
std::string base64_encode(std::span<const std::byte> data);

}  // namespace tern::crypto
