#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace tern::crypto {

using Sha1 = std::array<std::byte, 20>;

/// Returns the SHA-1 of `data`, which the opening handshake requires. SHA-1 does not resist
/// attackers: use it for nothing else.
/// Thread: any.
/// Errors: nullopt if libcrypto fails: it has no memory or was configured without SHA-1.
/// RFC 6455 §4.2.2.
std::optional<Sha1> sha1(std::span<const std::byte> data) noexcept;

}  // namespace tern::crypto
