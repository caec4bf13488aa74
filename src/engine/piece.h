// One entry of the output queue: whole frames, or a part of an HTTP answer.
#pragma once

#include "tern/message.h"

#include "base/assert.h"
#include "base/chunk_pool.h"
#include "frame/header.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <sys/uio.h>
#include <utility>
#include <variant>

namespace tern::engine {

/// The bytes of a piece are its header, which it stores itself and which may be empty, and then its
/// payload, which lies elsewhere. A piece never ends inside a frame.
class Piece {
 public:
  enum class Kind : std::uint8_t { frames, ping, pong, http };
  static constexpr std::size_t max_header = 10;  // of a frame that is not masked
  static constexpr std::size_t max_iovecs = 2;   // of one piece

  template <typename Owner = std::monostate>
  Piece(Kind kind, std::span<const std::byte> payload, Owner&& owner = {}) noexcept
      : payload_(payload), owner_(std::forward<Owner>(owner)), kind_(kind) {}
  /// A piece with a frame header of its own.
  template <typename Owner = std::monostate>
  Piece(const frame::Header& header, std::span<const std::byte> payload,
        Owner&& owner = {}) noexcept
      : Piece(Kind::frames, payload, std::forward<Owner>(owner)) {
    std::array<std::byte, frame::max_header_bytes> bytes;
    const std::size_t size = frame::encode_header(bytes.data(), header, frame::Masking::unmasked);
    store_header(std::span(bytes).first(size));
  }
  /// A piece that stores all its bytes itself. There are at most max_header of them.
  explicit Piece(std::span<const std::byte> bytes) noexcept : Piece(Kind::frames, {}) {
    store_header(bytes);
  }

  Kind kind() const noexcept { return kind_; }
  bool is_control() const noexcept { return kind_ == Kind::ping || kind_ == Kind::pong; }
  std::size_t size() const noexcept { return header_size_ + payload_.size(); }
  bool is_borrowed() const noexcept { return !owns() && !payload_.empty(); }
  bool owns() const noexcept { return !std::holds_alternative<std::monostate>(owner_); }
  /// Removes bytes from the front. There are fewer of them than size().
  void drop_front(std::size_t bytes) noexcept {
    const std::size_t of_header = std::min<std::size_t>(bytes, header_size_);
    header_size_ = static_cast<std::uint8_t>(header_size_ - of_header);
    std::memmove(header_.data(), header_.data() + of_header, header_size_);
    payload_ = payload_.subspan(bytes - of_header);
  }
  /// Copies a borrowed payload. Throws std::bad_alloc.
  void copy_payload(base::ChunkPool& pool) {
    base::ChunkRef chunk = pool.take(payload_.size());
    std::memcpy(chunk.data(), payload_.data(), payload_.size());
    payload_ = {chunk.data(), payload_.size()};
    owner_ = std::move(chunk);
  }
  /// The payload, which is a whole shared string, also lies in this file.
  void set_file(int descriptor) noexcept { file_ = descriptor; }
  int file() const noexcept { return file_; }
  /// Where the payload that is left begins in the file.
  std::size_t file_offset() const noexcept {
    const auto* const whole = std::get_if<std::shared_ptr<const std::string>>(&owner_);
    if (whole == nullptr) return 0;
    const auto* const begin = reinterpret_cast<const std::byte*>((*whole)->data());
    return static_cast<std::size_t>(payload_.data() - begin);
  }
  void release_owner() noexcept {
    std::destroy_at(&owner_);
    std::construct_at(&owner_);  // an assignment could throw for other types
  }

  /// Writes the bytes of the piece to `out` as one or two iovecs. Returns how many.
  std::size_t gather(iovec* out) noexcept {
    std::size_t count = 0;
    if (header_size_ > 0) out[count++] = {header_.data(), header_size_};
    if (!payload_.empty()) {
      out[count++] = {const_cast<std::byte*>(payload_.data()), payload_.size()};
    }
    return count;
  }

 private:
  void store_header(std::span<const std::byte> bytes) noexcept {
    TERN_DEBUG_ASSERT(bytes.size() <= max_header);
    header_size_ = static_cast<std::uint8_t>(std::min(bytes.size(), max_header));
    std::memcpy(header_.data(), bytes.data(), header_size_);
  }

  std::span<const std::byte> payload_;
  // Keeps the payload alive. std::monostate: the payload is borrowed.
  std::variant<std::monostate, base::ChunkRef, SharedMessage, std::shared_ptr<const std::string>>
      owner_;
  Kind kind_;
  std::uint8_t header_size_ = 0;
  std::array<std::byte, max_header> header_{};
  int file_ = -1;
};

}  // namespace tern::engine
