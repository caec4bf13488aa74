#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

namespace tern::crypto {

/// Unpredictable bytes for masking keys and handshake keys, drawn from libcrypto's generator a page
/// at a time. A process and its fork never get the same bytes, and used bytes are wiped. There is
/// no fallback: if the source fails, the draw fails.
/// Thread: one at a time; each thread has its own Random. RFC 6455 §10.3.
class Random {
 public:
  /// Does not call the source yet. If there is no memory for the page, every draw calls the source.
  Random() noexcept;

  /// Returns four bytes as a masking key.
  /// Errors: nullopt if the source fails.
  std::optional<std::uint32_t> draw_key() noexcept {
    if (block_ && block_->left >= sizeof(std::uint32_t)) {
      std::uint32_t key;
      take(&key, sizeof key);
      return key;
    }
    return draw_key_slowly();
  }

  /// Fills `to`.
  /// Errors: Errc::random_unavailable if the source fails; then the bytes in `to` must not be used.
  std::error_code fill(std::span<std::byte> to) noexcept;

 private:
  static constexpr std::size_t block_bytes = 4096;

  // One page. The kernel fills it with zeros in a forked child, where it is an empty block.
  struct Block {
    std::uint32_t left;  // the first `left` bytes of `bytes` are unused
    std::byte bytes[block_bytes - sizeof(std::uint32_t)];
  };
  struct Unmap {
    void operator()(Block* block) const noexcept;
  };

  void take(void* to, std::size_t size) noexcept {
    block_->left -= static_cast<std::uint32_t>(size);
    std::memcpy(to, block_->bytes + block_->left, size);
    std::memset(block_->bytes + block_->left, 0, size);
  }
  bool refill() noexcept;
  std::optional<std::uint32_t> draw_key_slowly() noexcept;

  std::unique_ptr<Block, Unmap> block_;
};

}  // namespace tern::crypto
