#pragma once

#include "tern/loop.h"
#include "tern/unique_function.h"

#include "net/loop_core.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace tern::net {

/// The timers that Loop::after and Loop::every hand out by number.
class UserTimers {
 public:
  using Function = UniqueFunction<void()>;

  explicit UserTimers(LoopCore& core) noexcept;
  UserTimers(const UserTimers&) = delete;
  UserTimers& operator=(const UserTimers&) = delete;
  ~UserTimers();

  /// Like the functions of Loop.
  TimerId after(Loop::Duration delay, Function function);
  TimerId every(Loop::Duration interval, Function function);
  bool cancel(TimerId id) noexcept;
  /// Cancels all timers.
  void clear() noexcept;

 private:
  class Entry;

  TimerId add(std::unique_ptr<Entry> entry);
  void fire(Entry& entry, Timer::time_point now) noexcept;

  LoopCore& core_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Entry>> entries_;
};

}  // namespace tern::net
