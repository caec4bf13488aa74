#pragma once

#include "tern/close.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tern::server {

/// A value that is left once for other threads. Thread: any for put() and get(), also a signal
/// handler, because neither waits or allocates.
template <class T>
class Parked {
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(std::atomic<int>::is_always_lock_free);

 public:
  /// Stores the value. Returns false, and stores nothing, if there is one already or another thread
  /// is storing one.
  bool put(const T& value) noexcept {
    State expected = State::empty;
    if (!state_.compare_exchange_strong(expected, State::filling)) return false;
    value_ = value;
    state_.store(State::full);
    return true;
  }
  /// Null until a value is stored. Lifetime of the value: until reset().
  const T* get() const noexcept { return state_.load() == State::full ? &value_ : nullptr; }
  /// Forgets the value. No other thread may use it any more.
  void reset() noexcept {
    State expected = State::full;
    state_.compare_exchange_strong(expected, State::empty);
  }

 private:
  enum class State : int { empty, filling, full };

  std::atomic<State> state_{State::empty};
  T value_{};
};

/// The code and the reason of Close frames. A code that may not be sent becomes 1011.
struct Farewell {
  static constexpr std::size_t max_reason = 124;  // Connection::close() cuts it at a character

  Farewell() noexcept = default;
  Farewell(CloseCode given, std::string_view text) noexcept
      : code(may_be_sent(given) ? given : CloseCode::internal_error) {
    size = static_cast<std::uint8_t>(text.copy(bytes.data(), bytes.size()));
  }
  std::string_view reason() const noexcept { return {bytes.data(), size}; }

  CloseCode code = CloseCode::going_away;
  std::uint8_t size = 0;
  std::array<char, max_reason> bytes{};
};

/// A drain that was requested.
struct DrainOrder {
  std::chrono::nanoseconds spread{};
  std::chrono::nanoseconds deadline{};
  Farewell farewell{};
};

}  // namespace tern::server
