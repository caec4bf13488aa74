#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tern::base {

/// Returns the number of base64 characters for `bytes` bytes, including the padding.
constexpr std::size_t base64_size(std::size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }

/// Writes `data` as base64 to the start of `to`, with padding and without a final NUL. `to` has
/// room for base64_size(data.size()) characters. Returns the number of characters written.
/// Thread: any. RFC 4648 §4.
std::size_t base64_encode(std::span<const std::byte> data, std::span<char> to) noexcept;

/// Returns the same characters as a string.
std::string base64_encode(std::span<const std::byte> data);

}  // namespace tern::base
