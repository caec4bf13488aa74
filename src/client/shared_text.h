#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

namespace tern::client {

/// Text that does not change. Its copies share one block, and each is one pointer: the URL of a
/// client, which is the same for thousands of them. Thread: one for all copies.
class SharedText {
 public:
  SharedText() noexcept = default;
  /// Throws std::bad_alloc.
  explicit SharedText(std::string_view text) : block_(make(text)) {}
  SharedText(const SharedText& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) ++block_->copies;
  }
  SharedText& operator=(SharedText other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedText() {
    if (block_ != nullptr && --block_->copies == 0) ::operator delete(block_);
  }

  /// Lifetime: the last copy.
  std::string_view view() const noexcept {
    if (block_ == nullptr) return {};
    return {reinterpret_cast<const char*>(block_ + 1), block_->size};
  }

 private:
  struct Block {
    std::uint32_t copies;
    std::uint32_t size;
  };

  static Block* make(std::string_view text) {
    void* const memory = ::operator new(sizeof(Block) + text.size());
    text.copy(static_cast<char*>(memory) + sizeof(Block), text.size());
    return ::new (memory) Block{1, static_cast<std::uint32_t>(text.size())};
  }

  Block* block_ = nullptr;
};

}  // namespace tern::client
