// The place of the message that was handed out last, and the room for a header in front of it. With
// that room a server sends the message back without a copy: it writes the header of the echo there.
//
//   lent bytes   | header, key | payload 1 | header, key | payload 2 | …
//   handed out   | header, key | payload 1 | room | payload 2 | …
//                                                 ▲ payload 2 moved up, because its key is not
//                                                 needed
//
// The header of a server is 4 bytes shorter than the header of a client, because it has no key. So
// the room is always there, and echoes of messages that follow each other are one piece of output.
#pragma once

#include "tern/message.h"

#include "base/assert.h"
#include "frame/header.h"

#include <cstddef>
#include <span>

namespace tern::engine {

/// The object stores positions only. They stay valid until the caller resets the object, which it
/// does before the lent bytes end.
class EchoRoom {
 public:
  /// A larger message stays where it is, because a move costs more than a piece of output.
  static constexpr std::size_t max_moved = std::size_t{8} << 10;

  /// Forgets all places: the next message does not move, and no message can be framed.
  void reset() noexcept {
    begin_ = end_ = nullptr;
    text_ = false;
  }
  /// Returns where the next message is handed out: at `here`, where its payload of `size` bytes
  /// lies, or behind the message before it. `header_in_front`: its own header lies in front of it
  /// in the lent bytes. The caller then copies the payload to that place.
  std::byte* place(MessageType type, std::byte* here, std::size_t size,
                   bool header_in_front) noexcept {
    const bool moves = end_ != nullptr && size <= max_moved;
    std::byte* const begin = moves ? end_ + header_bytes(size) : here;
    TERN_DEBUG_ASSERT(begin <= here);
    begin_ = moves || header_in_front ? begin : nullptr;
    end_ = begin + size;
    text_ = type == MessageType::text;
    return begin;
  }

  /// Whether `payload` is the message that was placed last, or its beginning, and the room in front
  /// of it is free.
  bool holds(std::span<const std::byte> payload) const noexcept {
    return payload.data() == begin_ && begin_ != nullptr && payload.size() <= size();
  }
  /// Whether `payload` is a whole text that was placed. Such a text is UTF-8, because the receiver
  /// checks it. The beginning of a text may end within a character.
  bool vouches_for_text(std::span<const std::byte> payload) const noexcept {
    return holds(payload) && text_ && payload.size() == size();
  }
  /// Where the frame of a payload begins that holds().
  static std::byte* frame_begin(std::span<const std::byte> payload) noexcept {
    return const_cast<std::byte*>(payload.data()) - header_bytes(payload.size());
  }
  /// Writes `header` in front of a payload that holds(). Returns the frame. This takes the room, so
  /// the payload does not hold() any more.
  std::span<const std::byte> frame(const frame::Header& header,
                                   std::span<const std::byte> payload) noexcept {
    TERN_DEBUG_ASSERT(holds(payload) && header.length == payload.size());
    begin_ = nullptr;
    std::byte* const begin = frame_begin(payload);
    const std::size_t bytes = frame::encode_header(begin, header, frame::Masking::unmasked);
    return {begin, bytes + payload.size()};
  }

 private:
  static constexpr std::size_t header_bytes(std::size_t size) noexcept {
    return frame::header_size(size, frame::Masking::unmasked);
  }
  std::size_t size() const noexcept { return static_cast<std::size_t>(end_ - begin_); }

  // If begin_ is set, the message lies from begin_ to end_, and header_bytes(size()) bytes in front
  // of it belong to nothing else.
  const std::byte* begin_ = nullptr;
  std::byte* end_ = nullptr;  // the next message may move up to here; null: it may not move
  bool text_ = false;
};

}  // namespace tern::engine
