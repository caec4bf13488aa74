// Turns bytes into messages: unmasks frames (RFC 6455 §5.2), joins fragments (§5.4), inflates
// messages (RFC 7692) and checks text (§8.1).
#pragma once

#include "tern/engine.h"

#include "base/chunk_pool.h"
#include "deflate/codec.h"
#include "engine/echo_room.h"
#include "frame/header.h"
#include "simd/mask.h"
#include "simd/utf8.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace tern::engine {

class Inbound {
 public:
  Inbound(base::ChunkPool& pool, deflate::Contexts& contexts) noexcept
      : pool_(&pool), contexts_(&contexts) {}
  /// Begins a connection of this role. Also allowed when idle().
  void start(Role role, const Limits& limits) noexcept;
  /// From the next frame on, messages may be compressed. `kept` is where the connection keeps its
  /// inflater, if messages refer to earlier ones; otherwise it is null.
  void take_compressed(int window_bits, std::unique_ptr<deflate::Inflater>* kept) noexcept;
  /// Forgets everything and returns its memory.
  void clear() noexcept;
  /// Does the same, but the message that was handed out last stays valid until clear().
  void abandon() noexcept;

  /// Returns the room to which the rest of a large message is best read; empty if there is none.
  /// Throws std::bad_alloc.
  std::span<std::byte> read_room();
  /// As Engine::feed. Throws std::bad_alloc if it has to append to the stash.
  void feed(std::size_t in_room, std::span<std::byte> lent) {
    if (in_room > 0 || at_.stashed || stash_) return feed_amid(in_room, lent);
    lent_ = lent;
    echo_.reset();
    cursor_ = lent.data();
    end_ = cursor_ + lent.size();
  }
  /// The lent bytes that were read may not be referenced any more.
  void end_lending() noexcept;
  /// Copies the unread rest of the lent bytes. Throws std::bad_alloc.
  void stash();
  bool has_stash() const noexcept { return at_.stashed && cursor_ != end_; }

  /// The bytes that were fed and not read. The handshake reads them before the first frame.
  std::span<std::byte> unread() const noexcept { return {cursor_, end_}; }
  void skip(std::size_t bytes) noexcept { cursor_ += bytes; }
  void discard() noexcept { cursor_ = end_; }

  /// The next message if it is a usual one: an uncompressed message in one frame that lies whole in
  /// the lent bytes. Returns any other event if it is not; the caller then calls next(), which may
  /// return that message, too.
  Event next_whole() noexcept;
  /// Returns the next message, ping or pong. Returns `closed` with the payload of a Close frame, or
  /// for a fault if error() is set; `none` if all bytes were read; `working` after as much work as
  /// one call may do, see Engine::next. Throws std::bad_alloc.
  Event next();
  /// From now on, messages are not collected, inflated or checked, and pings and pongs are not
  /// reported. Only the headers of data frames are checked. Later calls do nothing.
  void skip_messages() noexcept;
  Errc error() const noexcept { return error_; }

  /// Returns whether nothing is unread, begun or handed out. Then start() may begin another
  /// connection.
  bool idle() const noexcept { return cursor_ == end_ && !is_amid() && !delivered_ && !stash_; }
  /// Returns whether the payload lies in the lent bytes.
  bool lent(std::span<const std::byte> payload) const noexcept;
  /// Where the message that was handed out last lies, if that is in the lent bytes.
  EchoRoom& echo_room() noexcept { return echo_; }
  const EchoRoom& echo_room() const noexcept { return echo_; }
  /// Whether the payload is the whole text that was handed out last. Such a text is UTF-8.
  bool is_checked_text(std::span<const std::byte> payload) const noexcept;
  /// Returns the chunk that holds exactly this payload, if it is the message handed out last.
  base::ChunkRef chunk_of(std::span<const std::byte> payload) const noexcept;

 private:
  void feed_amid(std::size_t in_room, std::span<std::byte> lent);
  // Returns whether anything is begun, collected or stashed.
  bool is_amid() const noexcept { return std::bit_cast<std::uint64_t>(at_) != 0; }
  bool read_header();
  Errc begin_data_frame() noexcept;
  bool is_whole_message() const noexcept;
  bool is_allowed() const noexcept;
  Event found(Message message) const noexcept;
  Event whole_message() noexcept;
  std::byte* place(std::span<std::byte> payload) noexcept;
  std::span<std::byte> take_payload() noexcept;
  Event read_control();
  // The result of a call that reads a part of a frame or a message.
  enum class Progress : std::uint8_t {
    done,        // all of it was read
    starved,     // more bytes are needed
    unfinished,  // there is more to do, but this call did enough
    failed,      // error_ says why
  };
  Progress read_data();
  Progress read_payload();
  Progress skip_payload() noexcept;
  Progress read_compressed();
  deflate::Inflater& inflater();
  std::span<std::byte> inflate_room(std::span<std::byte> beyond, std::size_t most_out);
  Progress inflate(std::span<const std::byte> piece, bool last, std::size_t& consumed);
  Event finish_message();
  void drop_message() noexcept;
  bool check_text(std::span<const std::byte> piece) noexcept;
  void grow(std::size_t needed);
  Event fault(Errc errc) noexcept;
  std::size_t available() const noexcept { return static_cast<std::size_t>(end_ - cursor_); }

  base::ChunkPool* pool_;
  deflate::Contexts* contexts_;
  const Limits* limits_ = nullptr;

  // The bytes to read, and the bytes that the caller lent.
  std::byte* cursor_ = nullptr;
  std::byte* end_ = nullptr;
  std::span<const std::byte> lent_{};
  base::ChunkRef stash_{};

  // The place in the input. All of it is 0 after whole messages that lie in the lent bytes.
  struct Place {
    bool stashed = false;  // cursor_ and end_ point into stash_
    bool in_frame = false;
    bool in_message = false;        // a fragment without FIN came
    std::uint8_t head_size = 0;     // bytes of a header that came in parts
    std::uint8_t control_size = 0;  // bytes of a control frame that came in parts
    bool output_waits = false;      // the inflater has more output than it had room for
    bool skipping = false;          // see skip_messages()
    std::uint8_t unused = 0;        // is_amid() compares all bytes, so none may be padding
  };
  Place at_{};
  EchoRoom echo_{};

  // The frame.
  frame::Masking masking_ = frame::Masking::masked;
  frame::Rsv1 rsv1_ = frame::Rsv1::reserved;
  frame::Header header_{};
  std::uint64_t remaining_ = 0;  // of the payload
  std::array<std::byte, frame::max_header_bytes> head_{};
  bool head_straddled_ = false;  // the header of this frame came in parts
  std::array<std::byte, frame::max_control_payload> control_{};

  // The message.
  MessageType type_ = MessageType::text;
  bool compressed_ = false;
  std::uint8_t window_bits_ = 0;  // of compressed messages
  std::uint32_t fragments_ = 0;
  std::uint64_t wire_bytes_ = 0;  // announced so far by the frames of a compressed message
  std::size_t unmasked_ = 0;      // bytes at cursor_ that are unmasked already
  std::unique_ptr<deflate::Inflater>* kept_ = nullptr;
  std::unique_ptr<deflate::Inflater> borrowed_{};  // while a compressed message is in progress
  simd::Utf8Stream text_{};
  base::ChunkRef assembly_{};
  std::size_t assembled_ = 0;
  base::ChunkRef delivered_{};  // the message handed out last, until next()
  std::size_t delivered_size_ = 0;
  Errc error_{};
};

inline void Inbound::start(Role role, const Limits& limits) noexcept {
  limits_ = &limits;
  masking_ = role == Role::server ? frame::Masking::masked : frame::Masking::unmasked;
  lent_ = {};
  echo_.reset();
  rsv1_ = frame::Rsv1::reserved;
  kept_ = nullptr;
}

// The short way of a usual message. It is inline, because a call and its checks are a large part of
// the cost of a small message.

inline bool Inbound::is_allowed() const noexcept {
  return header_.length <= limits_->max_message_bytes && limits_->max_fragments > 0;
}

// Reads a payload that is here as a whole.
inline std::span<std::byte> Inbound::take_payload() noexcept {
  const auto size = static_cast<std::size_t>(header_.length);
  return {std::exchange(cursor_, cursor_ + size), size};
}

// Returns where a whole message is handed out. Only a server moves it, while it unmasks it, because
// a client has to mask an echo anyway.
inline std::byte* Inbound::place(std::span<std::byte> payload) noexcept {
  if (masking_ == frame::Masking::unmasked || at_.stashed) return payload.data();
  const auto type = static_cast<MessageType>(header_.opcode);
  return echo_.place(type, payload.data(), payload.size(), !head_straddled_);
}

// Returns the event for a message in one piece.
inline Event Inbound::found(Message message) const noexcept {
  const Event event(Event::Kind::message, message);
  return cursor_ == end_ && !at_.stashed ? event.as_last() : event;
}

inline Event Inbound::next_whole() noexcept {
  if (is_amid() || delivered_ || error_ != Errc{} || masking_ == frame::Masking::unmasked) {
    return {};
  }
  const std::size_t size = frame::decode_usual_header({cursor_, end_}, header_);
  if (size == 0 || header_.length > available() - size || !is_allowed()) return {};
  cursor_ += size;
  head_straddled_ = false;
  if (header_.opcode != frame::Opcode::binary || header_.length > simd::max_inline_mask) {
    return whole_message();
  }
  const std::span<std::byte> source = take_payload();
  std::byte* const begin = place(source);
  if (source.size() > simd::max_inline_mask) __builtin_unreachable();  // so that no call remains
  simd::mask_copy(begin, source, header_.key);
  return found(Message(MessageType::binary, {begin, source.size()}));
}

}  // namespace tern::engine
