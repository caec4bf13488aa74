// ChunkPool::grow(), and the sizes of the chunks that a pool keeps.
#include "base/chunk_pool.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace tern::base {
namespace {

constexpr std::size_t kib = 1024;

std::string_view text_of(const ChunkRef& chunk, std::size_t size) {
  return {reinterpret_cast<const char*>(chunk.data()), size};
}

TEST(ChunkPool, GrowKeepsTheUsedBytes) {
  ChunkPool pool;
  ChunkRef chunk;
  pool.grow(chunk, 0, 10);
  EXPECT_EQ(chunk.capacity(), 16 * kib) << "the chunk was empty";
  const std::string text(16 * kib, 'x');
  std::memcpy(chunk.data(), text.data(), text.size());
  for (const std::size_t capacity : {17 * kib, 64 * kib, 100 * kib, 30'000 * kib}) {
    pool.grow(chunk, text.size(), capacity);
    EXPECT_GE(chunk.capacity(), capacity);
    EXPECT_EQ(text_of(chunk, text.size()), text);
  }
}

TEST(ChunkPool, GrowCopiesASharedChunk) {
  ChunkPool pool;
  ChunkRef chunk = pool.take();
  std::memcpy(chunk.data(), "shared", 6);
  const ChunkRef other = chunk;
  pool.grow(chunk, 6, 64 * kib);
  std::memcpy(chunk.data(), "mine!!", 6);
  EXPECT_EQ(text_of(other, 6), "shared");
  EXPECT_EQ(other.capacity(), 16 * kib);
}

TEST(ChunkPool, GrowTakesAKeptChunkBeforeItAllocates) {
  ChunkPool pool;
  const std::byte* const kept = pool.take(64 * kib).data();
  ChunkRef chunk = pool.take();
  std::memcpy(chunk.data(), "text", 4);
  pool.grow(chunk, 4, 64 * kib);
  EXPECT_EQ(chunk.data(), kept);
  EXPECT_EQ(text_of(chunk, 4), "text");
}

// The pool must not hand out a chunk of a size between two classes as one of the larger class.
TEST(ChunkPool, KeepsNoChunkOfASizeBetweenClasses) {
  ChunkPool pool;
  ChunkRef chunk = pool.take();
  pool.grow(chunk, 0, 70 * kib);
  EXPECT_EQ(chunk.capacity(), 70 * kib);
  chunk.reset();
  EXPECT_EQ(pool.take(70 * kib).capacity(), 256 * kib);
}

}  // namespace
}  // namespace tern::base
