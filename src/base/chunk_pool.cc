// Hands out chunks in six size classes, and keeps returned chunks of these sizes for later. Each
// class is four times as large as the one before. So for a message that grows through the classes,
// the copies add up to at most a third of its length, and its buffer is at most four times as large
// as the received bytes (except for buffers of 16 KiB and 64 KiB). Chunks come from malloc and may
// be freed in any order.
#include "base/chunk_pool.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace tern::base {
namespace {

// The smallest class with room for `capacity` bytes; `classes` if there is none.
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
