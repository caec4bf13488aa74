// The checksum of PROXY headers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tern::net {

/// Computes CRC-32C (Castagnoli) as RFC 9260 appendix A defines it, a byte at a time, because a
/// header is short and there is one for each connection.
class Crc32c {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte byte : bytes) {
      state_ = table[(state_ ^ static_cast<std::uint32_t>(byte)) & 0xFF] ^ state_ >> 8;
    }
  }
  std::uint32_t value() const noexcept { return ~state_; }

 private:
  static constexpr std::array<std::uint32_t, 256> table = [] {
    constexpr std::uint32_t polynomial = 0x82F63B78;  // 0x1EDC6F41 with its bits reversed
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < made.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value & 1) != 0 ? value >> 1 ^ polynomial : value >> 1;
      }
      made[i] = value;
    }
    return made;
  }();

  std::uint32_t state_ = 0xFFFFFFFF;
};

}  // namespace tern::net
