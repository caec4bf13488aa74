#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tern::tls {

/// Bytes that outlive a call of the transport. The block has exactly their size, because usually
/// there are none. It holds less than 4 GiB.
class KeptBytes {
 public:
  bool empty() const noexcept { return at_ == size_; }
  std::size_t size() const noexcept { return size_ - at_; }
  /// Lifetime: until the next call that changes it.
  std::span<const std::byte> bytes() const noexcept { return {bytes_.get() + at_, size()}; }
  /// Removes the first bytes, at most size(). The block is freed when none is left.
  void consume(std::size_t bytes) noexcept;
  /// Removes all bytes and frees the block.
  void clear() noexcept;
  /// Appends `more`. Returns false and changes nothing if memory is out.
  bool append(std::span<const std::byte> more) noexcept;

 private:
  std::unique_ptr<std::byte[]> bytes_{};
  std::uint32_t at_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace tern::tls
