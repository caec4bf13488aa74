// What the engines of one thread share.
#pragma once

#include "tern/engine.h"

#include "base/chunk_pool.h"
#include "crypto/random.h"
#include "deflate/codec.h"
#include "engine/active.h"

namespace tern::engine {

class Memory {
 public:
  /// Lets libcrypto set itself up. Throws std::bad_alloc.
  Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  /// Throws std::bad_alloc.
  Active* take_active();
  void give_back(Active* active) noexcept;
  /// The same for one that rests: there is nothing to clear.
  void put_back(Active* active) noexcept;

  base::ChunkPool& chunks() noexcept { return chunks_; }
  crypto::Random& random() noexcept { return random_; }
  deflate::Contexts& contexts() noexcept { return contexts_; }

 private:
  static constexpr std::size_t max_kept = 64;  // blocks; the rest goes back to the heap

  base::ChunkPool chunks_{};
  crypto::Random random_{};
  deflate::Contexts contexts_{};
  Active* free_ = nullptr;
  std::size_t kept_ = 0;
};

}  // namespace tern::engine
