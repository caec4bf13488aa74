#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

namespace tern::crypto {

/// Octets nobody can predict, drawn from libcrypto's generator a page at a time: for masking keys
/// (RFC 6455 10.3) and handshake keys. A process and its fork never see the same octets, and used
/// ones are wiped. There is no fallback: what cannot be had from the source is an error.
/// Thread: one at a time; give each thread its own.
class Random {
 public:
  /// Asks for no randomness yet. Without memory for the page every draw asks the source by itself.
  Random() noexcept;

  /// Four octets, as a masking key.
  /// Errors: nothing if the source fails.
  std::optional<std::uint32_t> draw_key() noexcept {
    if (block_ && block_->left >= sizeof(std::uint32_t)) {
      std::uint32_t key;
      take(&key, sizeof key);
      return key;
    }
    return draw_key_slowly();
  }

  /// Fills `to`.
  /// Errors: Errc::random_unavailable if the source fails; then `to` is not to be used.
  std::error_code fill(std::span<std::byte> to) noexcept;

 private:
  static constexpr std::size_t block_bytes = 4096;

  // One page that the kernel hands to forked children as zeros: to them it is an empty block.
  struct Block {
    std::uint32_t left;  // the first so many of `octets` are not used yet
    std::byte octets[block_bytes - sizeof(std::uint32_t)];
  };
  struct Unmap {
    void operator()(Block* block) const noexcept;
  };

  void take(void* to, std::size_t size) noexcept {
    block_->left -= static_cast<std::uint32_t>(size);
    std::memcpy(to, block_->octets + block_->left, size);
    std::memset(block_->octets + block_->left, 0, size);
  }
  bool refill() noexcept;
  std::optional<std::uint32_t> draw_key_slowly() noexcept;

  std::unique_ptr<Block, Unmap> block_;
};

}  // namespace tern::crypto
