// The memory that engines of one thread share.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

namespace tern {

namespace engine {
class Memory;
}

/// Memory that the engines of one thread share: buffers, parsers, random bytes.
/// Lifetime: it outlives its engines.
/// Thread: one thread at a time uses the workspace and all its engines.
class Workspace {
 public:
  /// Throws std::bad_alloc.
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

  /// Sets the time of day that belongs to `now`. From then on a server's answers have a Date field,
  /// which the engine computes from the time that Engine::tick() receives. Call it again from time
  /// to time, because the two clocks drift apart. Without a call, answers have no Date. RFC 9110
  /// §6.6.1.
  void set_wall_clock(std::chrono::steady_clock::time_point now,
                      std::chrono::sys_time<std::chrono::nanoseconds> wall) noexcept;
  /// Returns the value of the Date field at `now`; empty without a wall clock. The text is written
  /// once a second.
  /// Lifetime of the view: until the next call.
  std::string_view date(std::chrono::steady_clock::time_point now) noexcept;

  /// For the engine.
  engine::Memory& memory() noexcept { return *memory_; }

 private:
  std::unique_ptr<engine::Memory> memory_;
};

}  // namespace tern
