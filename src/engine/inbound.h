// Bytes to messages: frames (RFC 6455 §5.2) unmasked, joined (§5.4), inflated (RFC 7692), text
// checked (§8.1).
#pragma once

#include "tern/engine.h"

#include "base/chunk_pool.h"
#include "deflate/codec.h"
#include "frame/header.h"
#include "simd/utf8.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tern::engine {

class Inbound {
 public:
  Inbound(base::ChunkPool& pool, deflate::Contexts& contexts) noexcept
      : pool_(&pool), contexts_(&contexts) {}
  /// Of a new connection, or after everything was handed out: who sends, and what is too much.
  void start(Role role, const Limits& limits) noexcept;
  /// From the next frame on, messages may be compressed. `kept` is where the connection keeps what
  /// inflates them, if they refer to earlier ones; else null.
  void take_compressed(int window_bits, std::unique_ptr<deflate::Inflater>* kept) noexcept;
  /// Forgets everything and gives memory back.
  void clear() noexcept;
  /// The same, but what was handed out last lives on until clear().
  void abandon() noexcept;

  /// Where a large message is best continued; empty when there is none. Throws std::bad_alloc.
  std::span<std::byte> read_room();
  /// As Engine::feed. Throws std::bad_alloc when it must append to the stash.
  void feed(std::size_t in_room, std::span<std::byte> lent);
  /// What was lent and is read may not be referred to any more.
  void end_lending() noexcept;
  /// Keeps the unread rest of what was lent. Throws std::bad_alloc.
  void stash();
  bool has_stash() const noexcept { return stashed_ && cursor_ != end_; }

  /// What was fed and not read: for the handshake, which reads it before the first frame.
  std::span<std::byte> unread() const noexcept { return {cursor_, end_}; }
  void skip(std::size_t bytes) noexcept { cursor_ += bytes; }
  void discard() noexcept { cursor_ = end_; }

  /// The next message, ping or pong; `closed` for a Close frame, whose payload it carries, or for a
  /// fault if error() is set; `none` when all was read. Throws std::bad_alloc.
  Event next();
  Errc error() const noexcept { return error_; }

  /// Nothing is unread, begun or handed out: after start() the object may serve another connection.
  bool idle() const noexcept {
    return cursor_ == end_ && !in_frame_ && !in_message_ && head_size_ == 0 && !delivered_ &&
           !stash_ && control_size_ == 0;
  }
  /// Whether the payload lies in the bytes that are lent.
  bool lent(std::span<const std::byte> payload) const noexcept;
  /// Whether it is the message handed out last, or its beginning, and lies in the lent bytes with
  /// room for its header, as a server writes it, in front of it. Until take_header_room().
  bool framed(std::span<const std::byte> payload) const noexcept {
    return payload.data() == framed_ && framed_ != nullptr && payload.size() <= header_.length;
  }
  /// The caller overwrites that room.
  void take_header_room() noexcept { framed_ = nullptr; }
  /// The chunk that holds exactly this payload: that of the message handed out last, if it is.
  base::ChunkRef chunk_of(std::span<const std::byte> payload) const noexcept;

 private:
  bool read_header();
  Errc begin_data_frame() noexcept;
  bool is_whole_message() const noexcept;
  Event whole_message();
  std::byte* place_of(std::span<const std::byte> payload) noexcept;
  Event read_control();
  bool read_payload();
  bool read_compressed();
  deflate::Inflater& inflater();
  std::span<std::byte> inflate_room(std::span<std::byte> beyond);
  bool inflate(std::span<const std::byte> piece, bool last);
  Event finish_message();
  bool check_text(std::span<const std::byte> piece) noexcept;
  void grow(std::size_t needed);
  Event fault(Errc errc) noexcept;
  std::size_t available() const noexcept { return static_cast<std::size_t>(end_ - cursor_); }

  base::ChunkPool* pool_;
  deflate::Contexts* contexts_;
  const Limits* limits_ = nullptr;

  // What is to be read, and what the caller lent.
  std::byte* cursor_ = nullptr;
  std::byte* end_ = nullptr;
  std::span<const std::byte> lent_{};
  base::ChunkRef stash_{};
  bool stashed_ = false;               // cursor_ and end_ point into stash_
  const std::byte* framed_ = nullptr;  // the message handed out last, see framed()
  std::byte* packed_ = nullptr;        // behind the message before, if the next may move up to it

  // The frame.
  frame::Masking masking_ = frame::Masking::masked;
  frame::Rsv1 rsv1_ = frame::Rsv1::reserved;
  bool in_frame_ = false;
  frame::Header header_{};
  std::uint64_t remaining_ = 0;  // of the payload
  std::array<std::byte, frame::max_header_bytes> head_{};
  std::uint8_t head_size_ = 0;   // of a header that came in parts
  bool head_straddled_ = false;  // the header of this frame did
  std::uint8_t control_size_ = 0;
  std::array<std::byte, frame::max_control_payload> control_{};

  // The message.
  MessageType type_ = MessageType::text;
  bool in_message_ = false;  // a fragment without FIN came
  bool compressed_ = false;
  std::uint8_t window_bits_ = 0;  // of compressed messages
  std::uint32_t fragments_ = 0;
  std::uint64_t wire_bytes_ = 0;  // of a compressed message, announced so far
  std::unique_ptr<deflate::Inflater>* kept_ = nullptr;
  std::unique_ptr<deflate::Inflater> borrowed_{};  // while a compressed message is in progress
  simd::Utf8Stream text_{};
  base::ChunkRef assembly_{};
  std::size_t assembled_ = 0;
  base::ChunkRef delivered_{};  // the message handed out last, until next()
  std::size_t delivered_size_ = 0;
  Errc error_{};
};

}  // namespace tern::engine
