// One unmasked frame with FIN and a data opcode in one block: the header, then the payload. It does
// not change. Its compressed form is another such block, which is made once, at the first request.
#pragma once

#include "tern/message.h"

#include "base/chunk_pool.h"
#include "deflate/codec.h"
#include "frame/header.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

namespace tern::engine {

/// Without takeover a shorter message shrinks very little, see Deflate::min_bytes.
inline constexpr std::size_t default_min_bytes = 1024;

/// A compressed frame that refers to no other message. Its bytes follow it.
class CompressedForm {
 public:
  /// For a payload of 0 bytes, which means that compressing does not make the message smaller.
  std::span<const std::byte> payload() const noexcept { return {bytes() + header_, payload_}; }
  std::span<const std::byte> frame() const noexcept { return {bytes(), header_ + payload_}; }
  int window_bits() const noexcept { return window_bits_; }

  /// Throws std::bad_alloc.
  static const CompressedForm* make(MessageType type, std::span<const std::byte> payload,
                                    int window_bits);
  void destroy() const noexcept;

 private:
  explicit CompressedForm(int window_bits) noexcept : window_bits_(window_bits) {}

  const std::byte* bytes() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }

  std::size_t header_ = 0;
  std::size_t payload_ = 0;
  int window_bits_;
};

class EncodedMessage {
 public:
  /// The caller owns one share. Throws std::bad_alloc.
  static const EncodedMessage* encode(Message message);
  void retain() const noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept;

  std::span<const std::byte> frame() const noexcept { return {bytes(), header_ + payload_}; }
  /// Returns whether it may be sent with its type: text must be UTF-8 (RFC 6455 §5.6).
  bool is_valid() const noexcept { return valid_; }
  Message message() const noexcept {
    return {type_, std::span<const std::byte>(bytes() + header_, payload_)};
  }

  /// Null if it was not requested yet.
  const CompressedForm* compressed() const noexcept {
    return compressed_.load(std::memory_order_acquire);
  }
  /// Makes the compressed form, unless another thread was faster. Not for an empty message.
  /// Throws std::bad_alloc.
  const CompressedForm* compress(deflate::Deflater& deflater, base::ChunkPool& pool) const;

 private:
  explicit EncodedMessage(Message message) noexcept;
  ~EncodedMessage();

  const std::byte* bytes() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
  std::byte* bytes() noexcept { return reinterpret_cast<std::byte*>(this + 1); }

  mutable std::atomic<std::uint32_t> users_{1};
  std::size_t header_ = 0;
  std::size_t payload_;
  MessageType type_;
  bool valid_;
  mutable std::mutex compressing_{};
  mutable std::atomic<const CompressedForm*> compressed_{nullptr};
};

/// Returns EncodedMessage::is_valid(). A message that was moved from counts as an empty text, so it
/// may be sent.
inline bool is_sendable(const SharedMessage& message) noexcept {
  return message.encoded() == nullptr || message.encoded()->is_valid();
}

/// The opcode of a data message (RFC 6455 §5.6).
constexpr frame::Opcode opcode_of(MessageType type) noexcept {
  return static_cast<frame::Opcode>(type);
}

}  // namespace tern::engine
