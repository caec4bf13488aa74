// What TLS needs only while one of its calls runs, shared by all transports of a thread.
#pragma once

#include "net/loop_core.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace tern::tls {

/// Thread: one. Lifetime: longer than its transports.
class Scratch {
 public:
  /// TLS handshakes that go a step further in one turn of the loop, and the time after which no
  /// further one does: a step may cost a millisecond, and open connections wait meanwhile.
  static constexpr unsigned handshake_steps = 32;
  static constexpr std::chrono::milliseconds handshake_time{4};
  static constexpr std::size_t input_bytes = std::size_t{128} << 10;
  static constexpr std::size_t record_bytes = std::size_t{16} << 10;

  /// With a loop, handshakes are rationed.
  explicit Scratch(const net::LoopCore* loop = nullptr) noexcept : loop_(loop) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Whether one more handshake may go on in this turn.
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

  /// Where ciphertext is received to; empty when memory is out.
  std::span<std::byte> input() noexcept { return buffer(input_, input_bytes); }
  /// Where small pieces of plaintext are joined to one record; empty when memory is out.
  std::span<std::byte> record() noexcept { return buffer(record_, record_bytes); }
  /// Ciphertext to be sent. Empty between calls.
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
