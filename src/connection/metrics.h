// The counts of one worker. Only its own thread writes them, and any thread reads them. So relaxed
// loads and stores are enough, and no instruction locks the bus.
#pragma once

#include "tern/close.h"
#include "tern/observe.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace tern::connection {

/// A number that one thread writes and any thread reads.
class Count {
 public:
  void add(std::uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  /// Like add(). A thread that reads this addition by get_first() also reads all earlier ones of
  /// other counts.
  void add_last() noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  std::uint64_t get_first() const noexcept { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Metrics {
 public:
  Count connections_begun{};
  Count connections_ended{};
  Count connections_rejected{};
  Count upgrades{};
  Count responses{};
  Count messages_received{};
  Count messages_sent{};
  Count bytes_received{};
  Count bytes_sent{};
  Count accept_pauses{};

  /// Counts the end of a WebSocket connection.
  void closed(CloseCode code) noexcept;
  /// Counts a handshake that failed. An error of the system counts as connection_reset.
  void refused(std::error_code why) noexcept;
  /// Adds all counts to `total`. Thread: any. Throws std::bad_alloc.
  void add_to(Counters& total) const;

 private:
  static constexpr std::size_t named_codes = 16;  // 1000 to 1015; all others share one count
  static constexpr std::size_t max_errc = 128;

  std::array<Count, named_codes + 1> closes_{};
  std::array<Count, max_errc> refusals_{};
};

}  // namespace tern::connection
