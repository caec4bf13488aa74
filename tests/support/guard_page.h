// Memory between guard pages: an access one byte outside of it is a fault, also by vector
// instructions that no sanitizer checks. Tests use the class in two ways: as a page for many spans
// (capacity, at_end, copy_at_end …) and as a copy of some bytes (bytes, text).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace tern::test {

/// Readable and writable pages between two pages without access.
class GuardPage {
 public:
  /// Makes room for spans of at most `capacity` bytes.
  explicit GuardPage(std::size_t capacity)
      : size_(capacity),
        page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
        room_((std::max<std::size_t>(capacity, 1) + page_ - 1) / page_ * page_) {
    void* const mapped = ::mmap(nullptr, room_ + 2 * page_, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::byte*>(mapped) + page_;
    if (::mprotect(begin_, room_, PROT_READ | PROT_WRITE) != 0) {
      ::munmap(mapped, room_ + 2 * page_);
      throw std::bad_alloc();
    }
  }
  /// Makes a copy of some bytes whose end touches the upper guard.
  explicit GuardPage(std::span<const std::byte> bytes) : GuardPage(bytes.size()) {
    copy_at_end(bytes);
  }
  explicit GuardPage(std::string_view text) : GuardPage(std::as_bytes(std::span(text))) {}
  GuardPage(const GuardPage&) = delete;
  GuardPage& operator=(const GuardPage&) = delete;
  ~GuardPage() { ::munmap(begin_ - page_, room_ + 2 * page_); }

  /// The copy, or `capacity` bytes, at the upper guard.
  std::span<std::byte> bytes() const { return at_end(size_); }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes().data()), size_}; }

  /// A span whose last byte is the last before the upper guard. It is the same memory at each call.
  std::span<std::byte> at_end(std::size_t size) const {
    check(size);
    return {begin_ + room_ - size, size};
  }
  /// A span whose first byte is the first behind the lower guard. It is the same memory at each
  /// call.
  std::span<std::byte> at_begin(std::size_t size) const {
    check(size);
    return {begin_, size};
  }
  /// The same with a copy of `data` in it (any contiguous range of 1-byte values).
  std::span<std::byte> copy_at_end(const auto& data) const {
    return copied(at_end(std::size(data)), data);
  }
  std::span<std::byte> copy_at_begin(const auto& data) const {
    return copied(at_begin(std::size(data)), data);
  }

 private:
  void check(std::size_t size) const {
    if (size > room_) throw std::length_error("GuardPage: span larger than its capacity");
  }
  static std::span<std::byte> copied(std::span<std::byte> to, const auto& data) {
    std::ranges::transform(data, to.begin(),
                           [](auto byte) { return static_cast<std::byte>(byte); });
    return to;
  }

  std::size_t size_;
  std::size_t page_;
  std::size_t room_;
  std::byte* begin_ = nullptr;
};

}  // namespace tern::test
