#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace tern::crypto {

using Sha1 = std::array<std::byte, 20>;

/// The SHA-1 of `data`, as the opening handshake wants it; not for what has to resist attackers.
/// Thread: any. Errors: nothing if libcrypto fails (no memory, or configured without SHA-1).
/// RFC 6455 §4.2.2.
std::optional<Sha1> sha1(std::span<const std::byte> data) noexcept;

}  // namespace tern::crypto
