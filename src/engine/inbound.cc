// Reads the lent bytes and the frames in them. inbound_message.cc puts messages together.
//
//   header ──▶ control? ──▶ read_control ──▶ ping, pong, close       (may stand between fragments)
//     │
//     └──▶ data: whole in the lent bytes, no fragment ──▶ whole_message: unmasked and handed out
//     there
//          other data ──▶ read_data, frame by frame ──▶ FIN ──▶ finish_message
//
// A frame is judged by its header, before a byte is stored for it. The common message, one frame
// that is here as a whole, leaves no state behind.
#include "engine/inbound.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace tern::engine {
namespace {

// If at least this much of a frame is missing, the socket is read straight into the assembly.
constexpr std::size_t room_threshold = std::size_t{64} << 10;

// One call of next() reads no more frames than this.
constexpr unsigned max_frames = 256;

// The most bytes on the wire for a compressed message. Compressing makes a message larger by a few
// bytes at most. More bytes can only be empty blocks, which cost work and carry nothing.
std::uint64_t wire_limit(std::uint64_t max_message_bytes) noexcept {
  constexpr std::uint64_t most = UINT64_MAX;
  return max_message_bytes > (most >> 2) ? most : 2 * max_message_bytes + 1024;
}

}  // namespace

void Inbound::take_compressed(int window_bits, std::unique_ptr<deflate::Inflater>* kept) noexcept {
  rsv1_ = frame::Rsv1::compressed;
  window_bits_ = static_cast<std::uint8_t>(window_bits);
  kept_ = kept;
}

void Inbound::clear() noexcept {
  abandon();
  stash_.reset();
  delivered_.reset();
}

void Inbound::abandon() noexcept {
  cursor_ = end_ = nullptr;
  lent_ = {};
  at_ = {};
  echo_.reset();
  rsv1_ = frame::Rsv1::reserved;
  kept_ = nullptr;
  compressed_ = false;
  remaining_ = 0;
  fragments_ = 0;
  drop_message();
  error_ = {};
}

// Drops the collected part of the message in progress.
void Inbound::drop_message() noexcept {
  if (borrowed_) contexts_->give_back(std::move(borrowed_));
  at_.output_waits = false;
  unmasked_ = 0;
  text_ = {};
  assembly_.reset();
  assembled_ = 0;
}

void Inbound::skip_messages() noexcept {
  drop_message();
  at_.skipping = true;
}

// ---- bytes in

void Inbound::feed_amid(std::size_t in_room, std::span<std::byte> lent) {
  if (in_room > 0) {
    const std::span<std::byte> piece(assembly_.data() + assembled_, in_room);
    if (masking_ == frame::Masking::masked) simd::mask(piece, header_.key);
    header_.key = simd::rotate_key(header_.key, in_room);
    assembled_ += in_room;
    remaining_ -= in_room;
    if (!check_text(piece)) error_ = Errc::text_not_utf8;
  }
  lent_ = lent;
  echo_.reset();
  if (!has_stash()) {
    at_.stashed = false;
    stash_.reset();
    cursor_ = lent.data();
    end_ = cursor_ + lent.size();
    return;
  }
  const std::size_t unread = available();
  const auto used = static_cast<std::size_t>(end_ - stash_.data());
  if (used + lent.size() > stash_.capacity()) {
    base::ChunkRef larger = pool_->take(unread + lent.size());
    std::memcpy(larger.data(), cursor_, unread);
    stash_ = std::move(larger);
    cursor_ = stash_.data();
    end_ = cursor_ + unread;
  }
  if (!lent.empty()) std::memcpy(end_, lent.data(), lent.size());
  end_ += lent.size();
}

void Inbound::end_lending() noexcept {
  if (cursor_ != end_) return;
  lent_ = {};
  echo_.reset();
}

void Inbound::stash() {
  lent_ = {};
  echo_.reset();
  if (at_.stashed || cursor_ == end_) return;
  const std::size_t unread = available();
  stash_ = pool_->take(unread);
  std::memcpy(stash_.data(), cursor_, unread);
  cursor_ = stash_.data();
  end_ = cursor_ + unread;
  at_.stashed = true;
}

std::span<std::byte> Inbound::read_room() {
  const bool data = at_.in_frame && !at_.skipping && !frame::is_control(header_.opcode);
  if (!data || compressed_ || remaining_ < room_threshold ||
      header_.length - remaining_ < room_threshold || cursor_ != end_) {
    return {};
  }
  if (assembled_ == assembly_.capacity()) grow(assembled_ + 1);
  const std::size_t room = assembly_.capacity() - assembled_;
  return {assembly_.data() + assembled_,
          static_cast<std::size_t>(std::min<std::uint64_t>(room, remaining_))};
}

bool Inbound::lent(std::span<const std::byte> payload) const noexcept {
  const std::less_equal<const std::byte*> not_after;
  return !lent_.empty() && not_after(lent_.data(), payload.data()) &&
         not_after(payload.data() + payload.size(), lent_.data() + lent_.size());
}

base::ChunkRef Inbound::chunk_of(std::span<const std::byte> payload) const noexcept {
  const bool same =
      delivered_ && payload.data() == delivered_.data() && payload.size() == delivered_size_;
  return same ? delivered_ : base::ChunkRef();
}

bool Inbound::is_checked_text(std::span<const std::byte> payload) const noexcept {
  return echo_.vouches_for_text(payload) || (type_ == MessageType::text && chunk_of(payload));
}

// ---- frames
// Each small message passes through the inlined functions. They are a third of its cost.

[[gnu::hot]] Event Inbound::next() {
  delivered_.reset();
  if (!at_.in_frame) at_.control_size = 0;  // the view of the control frame ends here
  if (error_ != Errc{}) return Event(Event::Kind::closed);
  for (unsigned frames = 0; frames < max_frames; ++frames) {
    if (!at_.in_frame) {
      if (!read_header()) return error_ == Errc{} ? Event() : Event(Event::Kind::closed);
      if (frame::is_control(header_.opcode)) {
        at_.control_size = 0;
      } else {
        if (is_whole_message()) return whole_message();
        if (const Errc errc = begin_data_frame(); errc != Errc{}) return fault(errc);
      }
      at_.in_frame = true;
      remaining_ = header_.length;
    }
    if (frame::is_control(header_.opcode)) {
      const Event event = read_control();
      const bool heard = event.kind() == Event::Kind::closed || !at_.skipping;
      if (heard || !event) return event;
      continue;
    }
    switch (read_data()) {
      case Progress::done:
        break;
      case Progress::starved:
        return {};
      case Progress::unfinished:
        return Event(Event::Kind::working);
      case Progress::failed:
        return Event(Event::Kind::closed);
    }
    at_.in_message = true;
    if (!header_.fin) {
      at_.in_frame = false;
    } else if (at_.skipping) {
      at_.in_frame = at_.in_message = false;
    } else {
      return finish_message();
    }
  }
  return Event(Event::Kind::working);
}

// Returns true if header_ holds a header. Returns false if more bytes are needed or error_ is set.
inline bool Inbound::read_header() {
  if (cursor_ == end_) {
    if (at_.stashed) stash_.reset();  // the view of its last message ends here
    at_.stashed = false;
    return false;
  }
  if (at_.head_size == 0) {
    const frame::Decoded decoded = frame::decode_header({cursor_, end_}, masking_, header_, rsv1_);
    if (decoded.size > 0) {
      cursor_ += decoded.size;
      head_straddled_ = false;
      return true;
    }
    if (decoded.failed()) return fault(decoded.error), false;
  }
  // The header came in parts, so it is collected. Bytes behind it go back to the input.
  const std::size_t had = at_.head_size;
  const std::size_t taken = std::min(available(), head_.size() - had);
  std::memcpy(head_.data() + had, cursor_, taken);
  const frame::Decoded decoded =
      frame::decode_header({head_.data(), had + taken}, masking_, header_, rsv1_);
  if (decoded.failed()) return fault(decoded.error), false;
  if (decoded.size == 0) {
    at_.head_size = static_cast<std::uint8_t>(had + taken);
    cursor_ += taken;
    return false;
  }
  at_.head_size = 0;
  head_straddled_ = true;
  cursor_ += decoded.size - had;
  return true;
}

// Checks §5.4 and the limits by the header alone, before a byte is stored for the frame.
inline Errc Inbound::begin_data_frame() noexcept {
  if (header_.opcode == frame::Opcode::continuation) {
    if (!at_.in_message) return Errc::unexpected_continuation;
    ++fragments_;
  } else {
    if (at_.in_message) return Errc::expected_continuation;
    type_ = static_cast<MessageType>(header_.opcode);
    compressed_ = header_.compressed;
    wire_bytes_ = 0;
    fragments_ = 1;
    assembled_ = 0;
  }
  if (fragments_ > limits_->max_fragments) return Errc::too_many_fragments;
  if (compressed_) {
    const std::uint64_t most = wire_limit(limits_->max_message_bytes);
    if (header_.length > most - wire_bytes_) return Errc::message_too_big;
    wire_bytes_ += header_.length;
    return {};
  }
  if (assembled_ > limits_->max_message_bytes ||
      header_.length > limits_->max_message_bytes - assembled_) {
    return Errc::message_too_big;
  }
  return {};
}

// Returns whether the frame is a whole message that is here and that begin_data_frame() would
// accept. Such a message, which is the usual one, leaves no state behind.
inline bool Inbound::is_whole_message() const noexcept {
  return header_.fin && !at_.in_message && !header_.compressed && !at_.skipping &&
         header_.opcode != frame::Opcode::continuation && header_.length <= available() &&
         is_allowed();
}

[[gnu::hot]] Event Inbound::whole_message() noexcept {
  const std::span<std::byte> source = take_payload();
  const auto type = static_cast<MessageType>(header_.opcode);
  std::byte* const begin = place(source);
  if (masking_ == frame::Masking::masked) simd::mask_copy(begin, source, header_.key);
  const std::span<const std::byte> payload(begin, source.size());
  if (type == MessageType::text && !simd::utf8_valid(payload)) return fault(Errc::text_not_utf8);
  return found(Message(type, payload));
}

// Reads a control frame of at most 125 bytes. A frame that came whole is viewed where it lies;
// otherwise it is collected.
Event Inbound::read_control() {
  const std::size_t taken =
      static_cast<std::size_t>(std::min<std::uint64_t>(available(), remaining_));
  std::span<std::byte> payload(std::exchange(cursor_, cursor_ + taken), taken);
  remaining_ -= taken;
  if (remaining_ > 0 || at_.control_size > 0) {
    if (taken > 0) std::memcpy(control_.data() + at_.control_size, payload.data(), taken);
    at_.control_size = static_cast<std::uint8_t>(at_.control_size + taken);
    if (remaining_ > 0) return {};
    payload = std::span(control_).first(at_.control_size);
  }
  at_.in_frame = false;
  echo_.reset();  // no message moves up over the payload of this frame, whose view stays valid
  if (masking_ == frame::Masking::masked) simd::mask(payload, header_.key);
  const Message message(MessageType::binary, payload);
  switch (header_.opcode) {
    case frame::Opcode::ping:
      return Event(Event::Kind::ping, message);
    case frame::Opcode::pong:
      return Event(Event::Kind::pong, message);
    default:
      return Event(Event::Kind::closed, message);
  }
}

}  // namespace tern::engine
