#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tern::connection {

struct LocalTopic;

/// The frames of a topic's window, side by side. They are copied once for all subscribers that have
/// none of them. For the kernel one piece costs less than sixteen: with 16 frames of 100 bytes, a
/// delivery becomes 0.4 us shorter.
class JoinedFrames {
 public:
  /// Takes its memory, so that deliveries need none. Throws std::bad_alloc.
  void prepare() {
    if (bytes_ == nullptr) bytes_ = std::make_unique_for_overwrite<std::byte[]>(most);
  }
  /// Returns the uncompressed frames of the publications in the window, if they are small and
  /// several; else nothing. Lifetime: until the next call.
  std::span<const std::byte> of(const LocalTopic& topic) noexcept {
    return is_current(topic) ? std::span<const std::byte>(bytes_.get(), size_) : join(topic);
  }
  /// The topic is destroyed; another one may get its address.
  void forget(const LocalTopic& topic) noexcept {
    if (topic_ == &topic) topic_ = nullptr;
  }

 private:
  static constexpr std::size_t most = std::size_t{16} << 10;

  bool is_current(const LocalTopic& topic) const noexcept;
  std::span<const std::byte> join(const LocalTopic& topic) noexcept;

  const LocalTopic* topic_ = nullptr;
  std::uint64_t first_ = 0;  // offsets of the window
  std::uint64_t last_ = 0;
  std::size_t size_ = 0;  // 0: the window has no joined form
  std::unique_ptr<std::byte[]> bytes_{};
};

}  // namespace tern::connection
