// Lets the n-th allocation of a program fail. It replaces the C library's malloc, so only one file
// of a program may include this header. It sees every allocation of threads that are not
// bystanders, also those of operator new, of libcrypto and of getaddrinfo.
#pragma once

#include "faults/support/syscalls.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT
void* __libc_calloc(std::size_t, std::size_t);    // NOLINT
void* __libc_realloc(void*, std::size_t);         // NOLINT
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
void __libc_free(void*);                          // NOLINT
}

namespace tern::test::memory_fault {

inline std::atomic<bool> armed{false};
inline std::atomic<std::uint64_t> allocations{0};
inline std::atomic<std::uint64_t> fails_at{0};
inline std::atomic<bool> for_good{false};
inline std::atomic<std::uint64_t> fired{0};

inline bool fails() noexcept {
  if (!armed || sys::is_bystander()) return false;
  const std::uint64_t number = allocations.fetch_add(1);
  if (number < fails_at || (number > fails_at && !for_good)) return false;
  fired.fetch_add(1);
  errno = ENOMEM;
  return true;
}

}  // namespace tern::test::memory_fault

extern "C" {
void* malloc(std::size_t size) noexcept {
  return tern::test::memory_fault::fails() ? nullptr : __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  return tern::test::memory_fault::fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) noexcept {
  return tern::test::memory_fault::fails() ? nullptr : __libc_realloc(block, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return tern::test::memory_fault::fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) noexcept { __libc_free(block); }
}

namespace tern::test {

/// As long as it lives, the allocation with this number fails, and all later ones if `good`.
class NoMemory {
 public:
  explicit NoMemory(std::uint64_t number, bool good = false) {
    memory_fault::allocations = 0;
    memory_fault::fired = 0;
    memory_fault::fails_at = number;
    memory_fault::for_good = good;
    memory_fault::armed = true;
  }
  ~NoMemory() { memory_fault::armed = false; }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
};

}  // namespace tern::test
