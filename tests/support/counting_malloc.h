// Replaces malloc and its relatives of the C library. Every allocation of the program is counted,
// also those of operator new, OpenSSL and zlib, and any can be made to fail. For one translation
// unit of a program without sanitizers.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <malloc.h>

extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT
void* __libc_calloc(std::size_t, std::size_t);    // NOLINT
void* __libc_realloc(void*, std::size_t);         // NOLINT
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
void __libc_free(void*);                          // NOLINT
}

namespace {

std::size_t allocations = 0;
std::size_t live_bytes = 0;
std::size_t peak_bytes = 0;  // the most live bytes since it was last set

// Faults: the allocation with this number fails, and also all later ones if `for_good`.
constexpr std::size_t none = static_cast<std::size_t>(-1);
std::size_t fails_at = none;
bool for_good = false;
std::size_t faults = 0;

bool fails() noexcept {
  if (allocations < fails_at || (allocations > fails_at && !for_good)) return false;
  ++allocations;
  ++faults;
  return true;
}

void* counted(void* block) noexcept {
  ++allocations;
  live_bytes += block == nullptr ? 0 : malloc_usable_size(block);
  peak_bytes = std::max(peak_bytes, live_bytes);
  return block;
}

void forget(void* block) noexcept {
  live_bytes -= block == nullptr ? 0 : malloc_usable_size(block);
}

}  // namespace

extern "C" {
void* malloc(std::size_t size) { return fails() ? nullptr : counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) {
  return fails() ? nullptr : counted(__libc_calloc(count, size));
}
void* realloc(void* block, std::size_t size) {
  if (fails()) return nullptr;
  forget(block);
  return counted(__libc_realloc(block, size));
}
void* memalign(std::size_t alignment, std::size_t size) {
  return fails() ? nullptr : counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  forget(block);
  __libc_free(block);
}
}
