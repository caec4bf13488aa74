// Sizes grow by four: a message that grows from class to class is copied at most a third of its own
// length over again, and its buffer is never more than four times what was received (16 KiB and
// 64 KiB aside). Blocks come from malloc and may be freed in any order.
#include "base/chunk_pool.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace tern::base {
namespace {

// The class whose capacity is the first that holds `capacity`; `classes` when none does.
std::size_t class_of(std::size_t capacity) noexcept {
  std::size_t index = 0;
  for (std::size_t size = ChunkPool::smallest; size < capacity && size <= ChunkPool::largest;
       size *= 4) {
    ++index;
  }
  return index;
}

constexpr std::size_t capacity_of(std::size_t index) noexcept {
  return ChunkPool::smallest << 2 * index;
}

}  // namespace

ChunkPool::~ChunkPool() {
  for (Chunk* list : free_) {
    while (list != nullptr) std::free(std::exchange(list, list->next));
  }
}

ChunkRef ChunkPool::take(std::size_t capacity) {
  const std::size_t index = class_of(capacity);
  if (index < classes) {
    capacity = capacity_of(index);
    if (Chunk* chunk = free_[index]; chunk != nullptr) {
      free_[index] = chunk->next;
      kept_bytes_ -= capacity;
      chunk->users = 1;
      return ChunkRef(chunk);
    }
  }
  void* memory = std::malloc(sizeof(Chunk) + capacity);
  if (memory == nullptr) throw std::bad_alloc();
  return ChunkRef(new (memory) Chunk{this, nullptr, capacity, 1});
}

void ChunkPool::grow(ChunkRef& chunk, std::size_t used, std::size_t capacity) {
  const std::size_t index = class_of(capacity);
  const bool have_one = index < classes && free_[index] != nullptr;
  if (!chunk || chunk.shared() || have_one) {
    ChunkRef larger = take(capacity);
    if (used > 0) std::memcpy(larger.data(), chunk.data(), used);
    chunk = std::move(larger);
    return;
  }
  Chunk* const old = chunk.detach();
  void* const memory = std::realloc(old, sizeof(Chunk) + capacity);
  chunk = ChunkRef(memory != nullptr ? static_cast<Chunk*>(memory) : old);
  if (memory == nullptr) throw std::bad_alloc();
  static_cast<Chunk*>(memory)->capacity = capacity;
}

void ChunkPool::give_back(Chunk* chunk) noexcept {
  const std::size_t index = class_of(chunk->capacity);
  if (index >= classes || chunk->capacity != capacity_of(index) ||
      kept_bytes_ + chunk->capacity > max_kept_bytes) {
    std::free(chunk);
    return;
  }
  kept_bytes_ += chunk->capacity;
  chunk->next = std::exchange(free_[index], chunk);
}

}  // namespace tern::base
