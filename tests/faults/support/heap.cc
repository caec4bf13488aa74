// operator new and delete that count. On malloc, so that AddressSanitizer still watches each block.
#include "faults/support/heap.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace tern::test {
namespace {

std::atomic<std::int64_t> live{0};

void* take(std::size_t size, std::size_t alignment = 0) noexcept {
  if (size == 0) size = 1;
  void* const block =
      alignment == 0 ? std::malloc(size)
                     : std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
  if (block != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void* take_or_throw(std::size_t size, std::size_t alignment = 0) {
  if (void* const block = take(size, alignment)) return block;
  throw std::bad_alloc();
}

void give(void* block) noexcept {
  if (block != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
  std::free(block);
}

}  // namespace

std::int64_t live_blocks() noexcept { return live.load(); }

}  // namespace tern::test

using tern::test::give;
using tern::test::take;
using tern::test::take_or_throw;
using Alignment = std::align_val_t;

void* operator new(std::size_t size) { return take_or_throw(size); }
void* operator new[](std::size_t size) { return take_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new(std::size_t size, Alignment alignment) {
  return take_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, Alignment alignment) {
  return take_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, Alignment alignment, const std::nothrow_t&) noexcept {
  return take(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, Alignment alignment, const std::nothrow_t&) noexcept {
  return take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { give(block); }
void operator delete[](void* block) noexcept { give(block); }
void operator delete(void* block, std::size_t) noexcept { give(block); }
void operator delete[](void* block, std::size_t) noexcept { give(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { give(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { give(block); }
void operator delete(void* block, Alignment) noexcept { give(block); }
void operator delete[](void* block, Alignment) noexcept { give(block); }
void operator delete(void* block, std::size_t, Alignment) noexcept { give(block); }
void operator delete[](void* block, std::size_t, Alignment) noexcept { give(block); }
void operator delete(void* block, Alignment, const std::nothrow_t&) noexcept { give(block); }
void operator delete[](void* block, Alignment, const std::nothrow_t&) noexcept { give(block); }
