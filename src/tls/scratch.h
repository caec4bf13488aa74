// The memory that TLS needs only while one of its calls runs. All transports of a thread share it.
#pragma once

#include "net/loop_core.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace tern::tls {

/// Buffers for the calls of TLS, and the limit of handshake steps in a turn. Lifetime: longer than
/// its transports. Thread: one.
class Scratch {
 public:
  /// The limits for one turn of the loop: the number of handshake steps, and the time after which
  /// no further step starts. A step may take a millisecond, and open connections wait meanwhile.
  static constexpr unsigned handshake_steps = 32;
  static constexpr std::chrono::milliseconds handshake_time{4};
  static constexpr std::size_t input_bytes = std::size_t{128} << 10;
  static constexpr std::size_t record_bytes = std::size_t{16} << 10;

  /// If `loop` is not null, take_handshake_step() limits the handshakes of a turn.
  explicit Scratch(const net::LoopCore* loop = nullptr) noexcept : loop_(loop) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Counts one handshake step. Returns whether this turn allows it.
  bool take_handshake_step() noexcept {
    if (loop_ == nullptr) return true;
    const auto now = std::chrono::steady_clock::now();
    if (turn_ != loop_->now()) {
      turn_ = loop_->now();
      steps_ = 0;
      began_ = now;
    }
    return steps_++ < handshake_steps && now - began_ < handshake_time;
  }

  /// Returns the buffer for received ciphertext; empty if memory is out.
  std::span<std::byte> input() noexcept { return buffer(input_, input_bytes); }
  /// Returns the buffer that joins small pieces of plaintext to one record; empty if memory is out.
  std::span<std::byte> record() noexcept { return buffer(record_, record_bytes); }
  /// Returns the ciphertext to send. It is empty between calls.
  std::vector<std::byte>& output() noexcept { return output_; }

 private:
  static std::span<std::byte> buffer(std::unique_ptr<std::byte[]>& buffer,
                                     std::size_t bytes) noexcept {
    if (buffer == nullptr) buffer.reset(new (std::nothrow) std::byte[bytes]);
    return {buffer.get(), buffer == nullptr ? 0 : bytes};
  }

  const net::LoopCore* loop_;
  net::LoopCore::time_point turn_{};
  net::LoopCore::time_point began_{};  // the first step of the turn
  unsigned steps_ = 0;
  std::unique_ptr<std::byte[]> input_{};
  std::unique_ptr<std::byte[]> record_{};
  std::vector<std::byte> output_{};
};

}  // namespace tern::tls
