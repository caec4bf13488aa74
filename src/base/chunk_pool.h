// A pool of memory blocks for one thread. It is last in, first out, so that the next user gets the
// block that is most likely in the cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tern::base {

class ChunkPool;

/// The head of a block. The bytes of the block follow it. Only ChunkRef and ChunkPool use it.
struct Chunk {
  ChunkPool* pool;
  Chunk* next;
  std::size_t capacity;
  std::size_t users;

  std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
};

/// A share of a chunk. The destructor of the last share returns the chunk to its pool.
/// Thread: the pool's.
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
  /// Releases the pointer but keeps the share counted; ChunkRef(Chunk*) takes the share over.
  Chunk* detach() noexcept { return std::exchange(chunk_, nullptr); }

 private:
  inline void release() noexcept;

  Chunk* chunk_ = nullptr;
};

/// Hands out chunks of 16 KiB and, for large messages, of 64 KiB, 256 KiB … 16 MiB. A larger chunk
/// has exactly the requested size. The pool keeps returned chunks up to a bound.
/// Lifetime: longer than its chunks.
class ChunkPool {
 public:
  static constexpr std::size_t smallest = std::size_t{16} << 10;
  static constexpr std::size_t largest = std::size_t{16} << 20;
  /// The pool keeps at most this many bytes; other returned chunks go back to the heap.
  static constexpr std::size_t max_kept_bytes = std::size_t{8} << 20;

  ChunkPool() noexcept = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  /// Returns a chunk of at least `capacity` bytes. Throws std::bad_alloc.
  ChunkRef take(std::size_t capacity = smallest);
  /// Makes `chunk` a chunk of at least `capacity` bytes that is not shared, with the first `used`
  /// bytes of the old one. If the system can extend the block in place, there is never a second
  /// copy of it in memory. Throws std::bad_alloc and then leaves `chunk` unchanged.
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
