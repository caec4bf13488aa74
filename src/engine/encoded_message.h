// One unmasked frame of FIN and a data opcode, in one block: header, then payload. Immutable.
#pragma once

#include "tern/message.h"

#include "frame/header.h"

#include <atomic>
#include <cstddef>
#include <span>

namespace tern::engine {

class EncodedMessage {
 public:
  /// One share for the caller. Throws std::bad_alloc.
  static const EncodedMessage* encode(Message message);
  void retain() const noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept;

  std::span<const std::byte> frame() const noexcept { return {bytes(), header_ + payload_}; }
  Message message() const noexcept {
    return {type_, std::span<const std::byte>(bytes() + header_, payload_)};
  }

 private:
  EncodedMessage(MessageType type, std::size_t payload) noexcept : payload_(payload), type_(type) {}

  const std::byte* bytes() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
  std::byte* bytes() noexcept { return reinterpret_cast<std::byte*>(this + 1); }

  mutable std::atomic<std::uint32_t> users_{1};
  std::size_t header_ = 0;
  std::size_t payload_;
  MessageType type_;
};

/// The opcode of a data message (RFC 6455 §5.6).
constexpr frame::Opcode opcode_of(MessageType type) noexcept {
  return static_cast<frame::Opcode>(type);
}

}  // namespace tern::engine
