// What one worker counts. Written by its thread alone, read by any: relaxed loads and stores, no
// locked instruction.
#pragma once

#include "tern/close.h"
#include "tern/observe.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace tern::connection {

/// A number with one writer.
class Count {
 public:
  void add(std::uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  /// As add(). A thread that sees this addition by get_first() sees all that was counted before.
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

  /// A WebSocket connection ended.
  void closed(CloseCode code) noexcept;
  /// A handshake failed; an error of the system counts as connection_reset.
  void refused(std::error_code why) noexcept;
  /// Adds all this to `total`.
  void add_to(Counters& total) const;

 private:
  static constexpr std::size_t named_codes = 16;  // 1000-1015; the rest shares one count
  static constexpr std::size_t max_errc = 128;

  std::array<Count, named_codes + 1> closes_{};
  std::array<Count, max_errc> refusals_{};
};

}  // namespace tern::connection
