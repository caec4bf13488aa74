// malloc and free that count blocks. operator new and delete use them, so AddressSanitizer still
// watches each block. ThreadSanitizer has operators of its own, which are not counted.
#include "faults/support/heap.h"

#include "faults/support/memory.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* block, std::size_t size);
void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
void __real_free(void* block);
}

namespace tern::test {
namespace {

std::atomic<std::int64_t> live{0};

void* counted(void* block) noexcept {
  if (block != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void give(void* block) noexcept {
  if (block != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
  __real_free(block);
}

}  // namespace

std::int64_t live_blocks() noexcept { return live.load(); }

}  // namespace tern::test

using tern::test::counted;
using tern::test::give;

extern "C" {
void* __wrap_malloc(std::size_t size) { return counted(__real_malloc(size)); }
void* __wrap_calloc(std::size_t count, std::size_t size) {
  return counted(__real_calloc(count, size));
}
void* __wrap_realloc(void* block, std::size_t size) {
  void* const moved = __real_realloc(block, size);
  return block == nullptr ? counted(moved) : moved;
}
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  return counted(__real_aligned_alloc(alignment, size));
}
void __wrap_free(void* block) { give(block); }
}
// NOLINTEND(bugprone-reserved-identifier)

#ifndef TERN_TEST_THREAD_SANITIZED
using Alignment = std::align_val_t;

namespace {

void* take(std::size_t size) noexcept { return counted(__real_malloc(size == 0 ? 1 : size)); }

void* take(std::size_t size, Alignment alignment) noexcept {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted(__real_aligned_alloc(unit, (size + unit - 1) & ~(unit - 1)));
}

void* or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t size) { return or_throw(take(size)); }
void* operator new[](std::size_t size) { return or_throw(take(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new(std::size_t size, Alignment alignment) {
  return or_throw(take(size, alignment));
}
void* operator new[](std::size_t size, Alignment alignment) {
  return or_throw(take(size, alignment));
}
void* operator new(std::size_t size, Alignment alignment, const std::nothrow_t&) noexcept {
  return take(size, alignment);
}
void* operator new[](std::size_t size, Alignment alignment, const std::nothrow_t&) noexcept {
  return take(size, alignment);
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
#endif
