// Pooled memory of one thread. Last in, first out: the next user gets the block that is still warm.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tern::base {

class ChunkPool;

/// The head of a block; its bytes follow it. Handled through ChunkRef.
struct Chunk {
  ChunkPool* pool;
  Chunk* next;
  std::size_t capacity;
  std::size_t users;

  std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
};

/// A share of a chunk: the last one gone returns it to its pool. Thread: the pool's.
class ChunkRef {
 public:
  ChunkRef() noexcept = default;
  explicit ChunkRef(Chunk* chunk) noexcept : chunk_(chunk) {}
  ChunkRef(const ChunkRef& other) noexcept : chunk_(other.chunk_) {
    if (chunk_ != nullptr) ++chunk_->users;
  }
  ChunkRef(ChunkRef&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  ChunkRef& operator=(ChunkRef other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~ChunkRef() { release(); }

  explicit operator bool() const noexcept { return chunk_ != nullptr; }
  std::byte* data() const noexcept { return chunk_->data(); }
  std::size_t capacity() const noexcept { return chunk_ != nullptr ? chunk_->capacity : 0; }
  void reset() noexcept {
    release();
    chunk_ = nullptr;
  }
  bool shared() const noexcept { return chunk_->users > 1; }
  /// Gives the share away without ending it; ChunkRef(Chunk*) takes it up again.
  Chunk* detach() noexcept { return std::exchange(chunk_, nullptr); }

 private:
  inline void release() noexcept;

  Chunk* chunk_ = nullptr;
};

/// Hands out chunks of 16 KiB and, for large messages, of 64 KiB, 256 KiB … 16 MiB; beyond, of the
/// size asked for. Keeps a bounded amount of what comes back. Lifetime: longer than its chunks.
class ChunkPool {
 public:
  static constexpr std::size_t smallest = std::size_t{16} << 10;
  static constexpr std::size_t largest = std::size_t{16} << 20;
  /// What is kept for later at most; the rest goes back to the heap.
  static constexpr std::size_t max_kept_bytes = std::size_t{8} << 20;

  ChunkPool() noexcept = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  /// A chunk of at least `capacity` bytes. Throws std::bad_alloc.
  ChunkRef take(std::size_t capacity = smallest);
  /// Makes room for `capacity` bytes in a chunk that nobody shares; the first `used` stay. Where
  /// the system can extend a block in place it is never held twice. Throws std::bad_alloc, and then
  /// has done nothing.
  void grow(ChunkRef& chunk, std::size_t used, std::size_t capacity);
  void give_back(Chunk* chunk) noexcept;

 private:
  static constexpr std::size_t classes = 6;

  std::array<Chunk*, classes> free_{};
  std::size_t kept_bytes_ = 0;
};

inline void ChunkRef::release() noexcept {
  if (chunk_ != nullptr && --chunk_->users == 0) chunk_->pool->give_back(chunk_);
}

}  // namespace tern::base
