// Small frames are copied side by side into a pooled chunk and leave as one piece. Large payloads
// are referenced: then a piece holds the header, the next one the payload. An echo is referenced
// with its header in front of it, and echoes that follow each other in memory are one piece.
//
//   pieces_   [ frames … | header ][ payload ][ frames … ]        head_ ─▶ first unwritten
//               chunk      chunk     its owner   chunk
//   echoes_   [ frames … ]   behind them; mostly all there is, and then written from there
//
// Pings and pongs wait apart, in `waiting_`, and enter at the first border between frames when the
// output is asked for: they may overtake messages, but never cut one (§5.4, §5.5).
#include "engine/outbound.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tern::engine {
namespace {

constexpr std::size_t max_control_frame = 2 + 4 + frame::max_control_payload;

}  // namespace

Outbound::Outbound(base::ChunkPool& pool) : pool_(&pool) {
  iov_.reserve(8);
  pieces_.reserve(8);
}

[[gnu::hot]] void Outbound::clear() noexcept {
  echoes_ = {};
  if (!pieces_.empty() || !waiting_.empty() || tail_ || control_) reset();
  queued_ = 0;
}

[[gnu::hot]] void Outbound::reset() noexcept {
  iov_.clear();
  pieces_.clear();
  waiting_.clear();
  head_ = queued_ = pongs_ = pings_ = 0;
  head_begun_ = borrows_ = false;
  drop_tail();
  control_.reset();
}

// ---- appending

// What follows is a piece of its own, at the tail; the tail is a new chunk if need be.
void Outbound::begin_piece(std::size_t bytes, bool http) {
  reserve(1);
  if (static_cast<std::size_t>(tail_end_ - tail_next_) < bytes) {
    tail_ = pool_->take(std::max(bytes, base::ChunkPool::smallest));
    tail_next_ = tail_.data();
    tail_end_ = tail_next_ + tail_.capacity();
  }
  Piece& piece = push(tail_next_, 0);
  piece.owner = tail_;
  piece.http = http;
}

void Outbound::drop_tail() noexcept {
  tail_.reset();
  tail_next_ = tail_end_ = nullptr;
}

// In both lists: those that are written make room first.
void Outbound::make_room_for(std::size_t pieces) {
  if (head_ > max_pieces && head_ * 2 > pieces_.size()) {
    pieces -= head_;
    forget_written();
  }
  if (pieces <= std::min(iov_.capacity(), pieces_.capacity())) return;
  iov_.reserve(std::max(pieces, 2 * iov_.capacity()));
  pieces_.reserve(std::max(pieces, 2 * pieces_.capacity()));
}

void Outbound::forget_written() noexcept {
  iov_.erase(iov_.begin(), iov_.begin() + static_cast<std::ptrdiff_t>(head_));
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
}

// Borrowed, and a whole frame, unless the caller says otherwise. It cannot throw, because the
// caller has made room for it by reserve(), or the room was there while there was no piece.
[[gnu::hot]] Outbound::Piece& Outbound::push(const std::byte* data, std::size_t size) noexcept {
  iov_.push_back({const_cast<std::byte*>(data), size});
  queued_ += size;
  return pieces_.emplace_back();
}

void Outbound::append_close(const frame::Header& header, std::span<const std::byte> payload) {
  commit_controls();  // what waits now must not enter behind it
  append_copy(header, payload);
}

void Outbound::append_header(const frame::Header& header, bool ends_frame) {
  std::byte* const out = room(frame::max_header_bytes);
  wrote(frame::encode_header(out, header, masking_), ends_frame);
}

void Outbound::append_borrowed(const frame::Header& header, std::span<const std::byte> payload) {
  reserve(2);
  append_header(header, payload.empty());
  if (payload.empty()) return;
  push(payload.data(), payload.size()).starts_frame = false;
  borrows_ = true;
}

[[gnu::hot]] void Outbound::append_framed(const frame::Header& header,
                                          std::span<const std::byte> payload) {
  reserve(1);
  append_echo(header, payload);
}

// Echoes become a piece. Room for it was made with the first of them, or was there when there was
// no piece.
void Outbound::enroll() noexcept {
  if (echoes_.iov_len == 0) return;
  const iovec echoes = std::exchange(echoes_, {});
  queued_ -= echoes.iov_len;
  push(static_cast<std::byte*>(echoes.iov_base), echoes.iov_len);
  borrows_ = true;
}

void Outbound::append_chunk(const frame::Header& header, std::span<const std::byte> payload,
                            base::ChunkRef chunk) {
  reserve(2);
  append_header(header, payload.empty());
  if (payload.empty()) return;
  Piece& piece = push(payload.data(), payload.size());
  piece.owner = std::move(chunk);
  piece.starts_frame = false;
}

void Outbound::append_shared(const SharedMessage& message, std::span<const std::byte> frame) {
  reserve(1);
  push(frame.data(), frame.size()).owner = message;
}

void Outbound::append_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  std::memcpy(room(bytes.size(), true), bytes.data(), bytes.size());
  wrote(bytes.size(), true);
}

void Outbound::append_body(std::shared_ptr<const std::string> body) {
  if (body == nullptr || body->empty()) return;
  reserve(1);
  const auto bytes = std::as_bytes(std::span(*body));
  Piece& piece = push(bytes.data(), bytes.size());
  piece.owner = std::move(body);
  piece.http = true;
}

void Outbound::append_emergency(std::span<const std::byte> frame) noexcept {
  drop_unstarted();
  forget_written();
  if (pieces_.size() == pieces_.capacity() || iov_.size() == iov_.capacity()) return;
  const std::size_t size = std::min(frame.size(), emergency_.size());
  std::memcpy(emergency_.data(), frame.data(), size);
  push(emergency_.data(), size);
}

// ---- pings and pongs

void Outbound::append_control(const frame::Header& header, std::span<const std::byte> payload) {
  const bool pong = header.opcode == frame::Opcode::pong;
  waiting_.reserve(max_pongs + max_pings + 2);
  if (!control_ || control_.capacity() - control_used_ < max_control_frame) {
    // The controls that wait move along: what is among the pieces keeps the old chunk alive.
    base::ChunkRef chunk = pool_->take();
    std::size_t used = 0;
    for (Control& control : waiting_) {
      std::memcpy(chunk.data() + used, control_.data() + control.offset, control.size);
      control.offset = static_cast<std::uint16_t>(used);
      used += control.size;
    }
    control_ = std::move(chunk);
    control_used_ = used;
  }
  if (pong ? pongs_ >= max_pongs : pings_ >= max_pings) drop_control(header.opcode);
  std::byte* const out = control_.data() + control_used_;
  const std::size_t size = write_frame(out, header, payload);
  waiting_.push_back(
      {static_cast<std::uint16_t>(control_used_), static_cast<std::uint16_t>(size), header.opcode});
  control_used_ += size;
  queued_ += size;
  ++(pong ? pongs_ : pings_);
}

// Takes back the last of its kind, if one still waits.
void Outbound::drop_control(frame::Opcode opcode) noexcept {
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    if (waiting_[i].opcode != opcode) continue;
    const std::size_t size = waiting_[i].size;
    std::byte* const hole = control_.data() + waiting_[i].offset;
    std::memmove(hole, hole + size, control_used_ - waiting_[i].offset - size);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    for (std::size_t j = i; j < waiting_.size(); ++j) {
      waiting_[j].offset = static_cast<std::uint16_t>(waiting_[j].offset - size);
    }
    control_used_ -= size;
    queued_ -= size;
    --(opcode == frame::Opcode::pong ? pongs_ : pings_);
    return;
  }
}

// The first place at or behind the head where a frame may enter.
std::size_t Outbound::border() const noexcept {
  std::size_t i = head_;
  while (i < pieces_.size() && pieces_[i].http) ++i;  // frames begin behind the 101
  if (i > head_ || i == pieces_.size() || (!head_begun_ && pieces_[i].starts_frame)) return i;
  while (i + 1 < pieces_.size() && !pieces_[i].ends_frame) ++i;
  return i + 1;
}

bool Outbound::controls_entered() const noexcept {
  return std::any_of(pieces_.begin() + static_cast<std::ptrdiff_t>(head_), pieces_.end(),
                     [](const Piece& piece) { return piece.holds_controls(); });
}

void Outbound::commit_controls() {
  if (waiting_.empty()) return;
  reserve(1);
  const std::size_t begin = waiting_.front().offset;
  Piece piece{.owner = control_};
  for (const Control& control : waiting_) {
    ++(control.opcode == frame::Opcode::pong ? piece.pongs : piece.pings);
  }
  std::size_t first = border();
  while (first < pieces_.size() && pieces_[first].holds_controls()) ++first;  // in their order
  const auto at = static_cast<std::ptrdiff_t>(first);
  iov_.insert(iov_.begin() + at, {control_.data() + begin, control_used_ - begin});
  pieces_.insert(pieces_.begin() + at, std::move(piece));
  waiting_.clear();
}

// ---- writing

[[gnu::hot]] std::span<const iovec> Outbound::output_pieces() {
  enroll();
  // Once those that entered before are written: so at most max_pongs wait among the pieces.
  if (!waiting_.empty() && !controls_entered()) commit_controls();
  const std::size_t count = std::min(iov_.size() - head_, max_pieces);
  return {iov_.data() + head_, count};
}

void Outbound::pop() noexcept {
  Piece& piece = pieces_[head_];
  pongs_ -= piece.pongs;
  pings_ -= piece.pings;
  piece = Piece{};  // gives back what it owns
  ++head_;
}

void Outbound::consume_pieces(std::size_t written) noexcept {
  if (written == queued_) return clear();
  enroll();
  queued_ -= written;
  while (written > 0) {
    iovec& first = iov_[head_];
    if (written < first.iov_len) {
      first.iov_base = static_cast<std::byte*>(first.iov_base) + written;
      first.iov_len -= written;
      head_begun_ = true;
      return;
    }
    written -= first.iov_len;
    head_begun_ = false;
    pop();
  }
}

void Outbound::settle() {
  enroll();
  if (!borrows_) return;
  for (std::size_t i = head_; i < pieces_.size(); ++i) {
    if (!std::holds_alternative<Borrowed>(pieces_[i].owner)) continue;
    if (iov_[i].iov_base == emergency_.data()) continue;
    base::ChunkRef chunk = pool_->take(iov_[i].iov_len);
    std::memcpy(chunk.data(), iov_[i].iov_base, iov_[i].iov_len);
    iov_[i].iov_base = chunk.data();
    pieces_[i].owner = std::move(chunk);
  }
  borrows_ = false;
}

void Outbound::drop_unstarted() noexcept {
  queued_ -= std::exchange(echoes_, {}).iov_len;  // else they were a piece
  for (std::size_t keep = border(); pieces_.size() > keep;) {
    queued_ -= iov_.back().iov_len;
    pongs_ -= pieces_.back().pongs;
    pings_ -= pieces_.back().pings;
    iov_.pop_back();
    pieces_.pop_back();
  }
  for (const Control& control : waiting_) {
    queued_ -= control.size;
    --(control.opcode == frame::Opcode::pong ? pongs_ : pings_);
  }
  waiting_.clear();
  drop_tail();  // its next bytes need not follow the last piece any more
}

}  // namespace tern::engine
