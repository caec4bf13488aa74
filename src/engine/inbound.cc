// The way of a frame:
//
//   header ──▶ control? ──▶ read_control ──▶ ping, pong, close       (may stand between fragments)
//     │
//     └──▶ data: whole in the lent bytes, not a fragment ──▶ unmasked in place, handed out there
//          otherwise ──▶ unmask-copied to the assembly as it arrives ──▶ FIN ──▶ handed out
//
// The assembly grows with the bytes that arrived, never with the length that a header announces.
// Text is checked piece by piece, so that the first impossible byte ends it (§8.1).
#include "engine/inbound.h"

#include "simd/mask.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace tern::engine {
namespace {

// From here on it pays to read from the socket straight into the assembly.
constexpr std::size_t room_threshold = std::size_t{64} << 10;

}  // namespace

void Inbound::start(Role role, const Limits& limits) noexcept {
  limits_ = &limits;
  masking_ = role == Role::server ? frame::Masking::masked : frame::Masking::unmasked;
}

void Inbound::clear() noexcept {
  cursor_ = end_ = nullptr;
  lent_ = {};
  stash_.reset();
  stashed_ = false;
  in_frame_ = in_message_ = false;
  head_size_ = control_size_ = 0;
  remaining_ = 0;
  fragments_ = 0;
  text_ = {};
  assembly_.reset();
  assembled_ = 0;
  delivered_.reset();
  error_ = {};
}

bool Inbound::idle() const noexcept {
  return cursor_ == end_ && !in_frame_ && !in_message_ && head_size_ == 0 && !delivered_ &&
         control_size_ == 0;
}

// ---- bytes in

void Inbound::feed(std::size_t in_room, std::span<std::byte> lent) {
  if (in_room > 0) {
    const std::span<std::byte> piece(assembly_.data() + assembled_, in_room);
    if (masking_ == frame::Masking::masked) simd::mask(piece, header_.key);
    header_.key = simd::rotate_key(header_.key, in_room);
    assembled_ += in_room;
    remaining_ -= in_room;
    if (!check_text(piece)) error_ = Errc::text_not_utf8;
  }
  lent_ = lent;
  if (!has_stash()) {
    stashed_ = false;
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

void Inbound::stash() {
  lent_ = {};
  if (stashed_ || cursor_ == end_) return;
  const std::size_t unread = available();
  stash_ = pool_->take(unread);
  std::memcpy(stash_.data(), cursor_, unread);
  cursor_ = stash_.data();
  end_ = cursor_ + unread;
  stashed_ = true;
}

std::span<std::byte> Inbound::read_room() {
  const bool data = in_frame_ && !frame::is_control(header_.opcode);
  if (!data || remaining_ < room_threshold || header_.length - remaining_ < room_threshold ||
      cursor_ != end_) {
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

// ---- frames

Event Inbound::next() {
  delivered_.reset();
  if (!in_frame_) control_size_ = 0;  // the view of it was handed out, and ends here
  if (error_ != Errc{}) return Event(Event::Kind::closed);
  for (;;) {
    if (!in_frame_) {
      if (!read_header()) return error_ == Errc{} ? Event() : Event(Event::Kind::closed);
      if (frame::is_control(header_.opcode)) {
        control_size_ = 0;
      } else {
        if (const Errc errc = begin_data_frame(); errc != Errc{}) return fault(errc);
        if (header_.fin && !in_message_ && available() >= header_.length) {
          const auto size = static_cast<std::size_t>(header_.length);
          return whole_message({std::exchange(cursor_, cursor_ + size), size});
        }
      }
      in_frame_ = true;
      remaining_ = header_.length;
    }
    if (frame::is_control(header_.opcode)) return read_control();
    if (!read_payload()) return error_ == Errc{} ? Event() : Event(Event::Kind::closed);
    in_frame_ = false;
    in_message_ = true;
    if (header_.fin) return finish_message();
  }
}

// True: header_ holds a header. False: more bytes are needed, or error_ is set.
bool Inbound::read_header() {
  if (cursor_ == end_) return false;
  if (head_size_ == 0) {
    const frame::Decoded decoded = frame::decode_header({cursor_, end_}, masking_, header_);
    if (decoded.size > 0) {
      cursor_ += decoded.size;
      return true;
    }
    if (decoded.failed()) return fault(decoded.error), false;
  }
  // It straddles reads: collect it. What is taken too much goes back.
  const std::size_t had = head_size_;
  const std::size_t taken = std::min(available(), head_.size() - had);
  std::memcpy(head_.data() + had, cursor_, taken);
  const frame::Decoded decoded =
      frame::decode_header({head_.data(), had + taken}, masking_, header_);
  if (decoded.failed()) return fault(decoded.error), false;
  if (decoded.size == 0) {
    head_size_ = static_cast<std::uint8_t>(had + taken);
    cursor_ += taken;
    return false;
  }
  head_size_ = 0;
  cursor_ += decoded.size - had;
  return true;
}

// §5.4, and our limits: judged by the header alone, before a byte is stored for it.
Errc Inbound::begin_data_frame() noexcept {
  if (header_.opcode == frame::Opcode::continuation) {
    if (!in_message_) return Errc::unexpected_continuation;
    ++fragments_;
  } else {
    if (in_message_) return Errc::expected_continuation;
    type_ = static_cast<MessageType>(header_.opcode);
    fragments_ = 1;
    assembled_ = 0;
  }
  if (fragments_ > limits_->max_fragments) return Errc::too_many_fragments;
  if (assembled_ > limits_->max_message_bytes ||
      header_.length > limits_->max_message_bytes - assembled_) {
    return Errc::message_too_big;
  }
  return {};
}

Event Inbound::whole_message(std::span<std::byte> payload) {
  if (masking_ == frame::Masking::masked) simd::mask(payload, header_.key);
  if (type_ == MessageType::text && !simd::utf8_valid(payload)) return fault(Errc::text_not_utf8);
  return Event(Event::Kind::message, Message(type_, payload));
}

// At most 125 bytes: viewed where they lie when they came whole, else collected.
Event Inbound::read_control() {
  const std::size_t taken =
      static_cast<std::size_t>(std::min<std::uint64_t>(available(), remaining_));
  std::span<std::byte> payload(std::exchange(cursor_, cursor_ + taken), taken);
  remaining_ -= taken;
  if (remaining_ > 0 || control_size_ > 0) {
    if (taken > 0) std::memcpy(control_.data() + control_size_, payload.data(), taken);
    control_size_ = static_cast<std::uint8_t>(control_size_ + taken);
    if (remaining_ > 0) return {};
    payload = std::span(control_).first(control_size_);
  }
  in_frame_ = false;
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

// True: the frame is complete. False: more bytes are needed, or error_ is set.
bool Inbound::read_payload() {
  const std::size_t taken =
      static_cast<std::size_t>(std::min<std::uint64_t>(available(), remaining_));
  if (taken > 0) {
    grow(assembled_ + taken);
    const std::span<std::byte> piece(assembly_.data() + assembled_, taken);
    if (masking_ == frame::Masking::masked) {
      simd::mask_copy(piece.data(), {cursor_, taken}, header_.key);
      header_.key = simd::rotate_key(header_.key, taken);
    } else {
      std::memcpy(piece.data(), cursor_, taken);
    }
    cursor_ += taken;
    remaining_ -= taken;
    assembled_ += taken;
    if (!check_text(piece)) return fault(Errc::text_not_utf8), false;
  }
  return remaining_ == 0;
}

Event Inbound::finish_message() {
  in_message_ = false;
  if (type_ == MessageType::text && !text_.complete()) return fault(Errc::text_not_utf8);
  text_ = {};
  const std::span<const std::byte> payload(assembly_ ? assembly_.data() : nullptr, assembled_);
  delivered_ = std::move(assembly_);
  delivered_size_ = std::exchange(assembled_, 0);
  return Event(Event::Kind::message, Message(type_, payload));
}

bool Inbound::check_text(std::span<const std::byte> piece) noexcept {
  return type_ != MessageType::text || text_.feed(piece);
}

// Room for `needed` bytes of the message. The pool's chunks are up to four times as large as asked
// for. Beyond them we ask for that much ourselves, lest each fragment cost a copy of all before it;
// but for no more than the message can come to. So memory follows what was received.
void Inbound::grow(std::size_t needed) {
  if (needed <= assembly_.capacity()) return;
  std::size_t wanted = needed;
  if (needed > base::ChunkPool::largest) {
    const std::uint64_t most =
        header_.fin ? std::uint64_t{assembled_} + remaining_ : limits_->max_message_bytes;
    wanted = std::max(needed, static_cast<std::size_t>(std::min<std::uint64_t>(most, 4 * needed)));
  }
  base::ChunkRef larger = pool_->take(wanted);
  if (assembled_ > 0) std::memcpy(larger.data(), assembly_.data(), assembled_);
  assembly_ = std::move(larger);
}

Event Inbound::fault(Errc errc) noexcept {
  error_ = errc;
  return Event(Event::Kind::closed);
}

}  // namespace tern::engine
