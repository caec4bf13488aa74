// The memory that the engines of one thread share.
#pragma once

#include "tern/engine.h"

#include "base/chunk_pool.h"
#include "crypto/random.h"
#include "deflate/codec.h"
#include "engine/active.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

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
  /// The same for a block with nothing in it to clear.
  void put_back(Active* active) noexcept;

  /// The opening of a server that was kept last; null if there is none.
  std::unique_ptr<Opening> take_opening() noexcept { return std::move(opening_); }
  /// Keeps a server's opening with its memory for the next request of any connection.
  /// That of a client is destroyed.
  void keep_opening(std::unique_ptr<Opening> opening) noexcept {
    if (std::holds_alternative<ServerOpening>(*opening)) opening_ = std::move(opening);
  }

  /// As in Workspace.
  void set_wall_clock(Engine::TimePoint now,
                      std::chrono::sys_time<std::chrono::nanoseconds> wall) noexcept;
  /// The whole line, as "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; empty without a wall clock.
  std::string_view date_line(Engine::TimePoint now) noexcept {
    if (now < date_begin_ || now >= date_end_) write_date(now);
    return {date_line_.data(), date_size_};
  }

  base::ChunkPool& chunks() noexcept { return chunks_; }
  crypto::Random& random() noexcept { return random_; }
  deflate::Contexts& contexts() noexcept { return contexts_; }

 private:
  void write_date(Engine::TimePoint now) noexcept;

  static constexpr std::size_t max_kept = 64;  // blocks; the rest goes back to the heap

  base::ChunkPool chunks_{};
  crypto::Random random_{};
  deflate::Contexts contexts_{};
  std::unique_ptr<Opening> opening_{};
  Active* free_ = nullptr;
  std::size_t kept_ = 0;
  std::optional<std::chrono::nanoseconds>
      wall_offset_{};  // from the time of tick() to the time of day
  // The line, and the second for which it holds, in the time of tick().
  std::array<char, 37> date_line_{};
  std::size_t date_size_ = 0;
  Engine::TimePoint date_begin_{};
  Engine::TimePoint date_end_{};
};

inline Active* Memory::take_active() {
  if (free_ == nullptr) return new Active(*this);
  --kept_;
  return std::exchange(free_, free_->next);
}

inline void Memory::put_back(Active* active) noexcept {
  if (kept_ == max_kept) {
    delete active;
    return;
  }
  ++kept_;
  active->next = std::exchange(free_, active);
}

}  // namespace tern::engine
