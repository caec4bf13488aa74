// The output queue. Small frames are copied side by side into a pooled chunk, the tail, and are one
// piece. A large payload is referenced: its piece stores the header and points to the payload. A
// borrowed frame is complete in the memory of its owner. Borrowed frames that follow each other
// there are one piece.
//
//   pieces_   [ written … | begun? | HTTP … | pings and pongs … | frames … ]   run_   [ frames ]
//                         head_
//
// A piece never ends inside a frame. So a control frame may enter between any two pieces: it may
// overtake messages, but never cuts one (§5.4, §5.5).
#include "engine/outbound.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tern::engine {
namespace {

constexpr std::size_t max_control_frame = 2 + 4 + frame::max_control_payload;
constexpr std::size_t first_capacity = 8;

}  // namespace

Outbound::Outbound(base::ChunkPool& pool) : pool_(&pool) {
  pieces_.reserve(first_capacity);
  iovecs_.resize(Piece::max_iovecs * first_capacity);
}

[[gnu::hot]] void Outbound::clear() noexcept {
  run_ = {};
  queued_ = 0;
  if (tail_ || !pieces_.empty()) clear_pieces();
  check();
}

[[gnu::hot]] void Outbound::clear_pieces() noexcept {
  pieces_.clear();
  head_ = 0;
  head_begun_ = borrows_ = has_files_ = false;
  tail_.reset();
  tail_next_ = tail_end_ = nullptr;
}

// - pieces_ has room for the run, and iovecs_ for all pieces or for max_iovecs.
// - A written piece owns nothing.
// - A piece that waits has at least one byte. queued_ is the sum of their sizes and the run's.
// - HTTP stands in front of all frames, because the 101 is HTTP (§4.2.2).
// - Pings and pongs stand together: behind HTTP, or behind the piece that is begun, or at the head.
// - Without borrows_, no piece is borrowed, so settle() need not look for one.
// - The free bytes of the tail lie in its chunk. A run in the tail ends where they begin.
bool Outbound::is_consistent() const noexcept {
  const bool has_run = run_.iov_len > 0;
  if (pieces_.size() + (has_run ? 1 : 0) > pieces_.capacity()) return false;
  if (iovecs_.size() < std::min(Piece::max_iovecs * pieces_.capacity(), max_iovecs)) return false;
  if (head_ > pieces_.size() || (head_begun_ && head_ == pieces_.size())) return false;
  const std::size_t frames = first_frame();
  std::size_t messages = border();
  while (messages < pieces_.size() && pieces_[messages].is_control()) ++messages;
  std::size_t sum = run_.iov_len;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (i < head_) {
      if (piece.owns()) return false;
      continue;
    }
    if (piece.size() == 0 || (piece.is_borrowed() && !borrows_)) return false;
    if (i >= frames && piece.kind() == Piece::Kind::http) return false;
    if (i >= messages && piece.is_control()) return false;
    sum += piece.size();
  }
  if (has_run && run_kind_ == Piece::Kind::http && frames < pieces_.size()) return false;
  if (has_run && run_source_ == Source::tail && (!tail_ || run_end() != tail_next_)) return false;
  const bool tail_fits = tail_ ? tail_.data() <= tail_next_ && tail_next_ <= tail_end_ &&
                                     tail_end_ == tail_.data() + tail_.capacity()
                               : tail_next_ == nullptr && tail_end_ == nullptr;
  return tail_fits && sum == queued_;
}

// ---- appending

// Makes room in pieces_ for three more: the run, a new piece, and the piece of append_emergency().
void Outbound::make_room() {
  constexpr std::size_t more = 3;
  if (pieces_.size() + more <= pieces_.capacity()) return;
  if (2 * head_ >= pieces_.size()) forget_written();
  if (pieces_.size() + more <= pieces_.capacity()) return;
  const std::size_t capacity = 2 * pieces_.capacity();
  // output() grows nothing, so that a Close frame can be written without memory.
  iovecs_.resize(std::min(Piece::max_iovecs * capacity, max_iovecs));
  pieces_.reserve(capacity);
}

void Outbound::forget_written() noexcept {
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
}

void Outbound::close_run() noexcept {
  if (run_.iov_len == 0) return;
  const std::span bytes(static_cast<const std::byte*>(run_.iov_base), run_.iov_len);
  if (run_source_ == Source::borrowed) {
    pieces_.emplace_back(run_kind_, bytes);
    borrows_ = true;
  } else {
    pieces_.emplace_back(run_kind_, bytes, tail_);
  }
  run_ = {};
}

// The run is closed before tail_ changes, because its piece must own the chunk that it lies in.
void Outbound::make_tail_room(std::size_t bytes) {
  make_room();
  close_run();
  if (static_cast<std::size_t>(tail_end_ - tail_next_) >= bytes) return;
  tail_ = pool_->take(std::max(bytes, base::ChunkPool::smallest));
  tail_next_ = tail_.data();
  tail_end_ = tail_next_ + tail_.capacity();
}

void Outbound::begin_tail_run(std::size_t bytes, Piece::Kind kind) {
  make_tail_room(bytes);
  run_ = {tail_next_, 0};
  run_source_ = Source::tail;
  run_kind_ = kind;
}

// Appends a piece made of `args`.
template <typename... Args>
void Outbound::push(Args&&... args) {
  make_room();
  close_run();
  queued_ += pieces_.emplace_back(std::forward<Args>(args)...).size();
}

void Outbound::append_borrowed(const frame::Header& header, std::span<const std::byte> payload) {
  push(header, payload);
  borrows_ = true;
  check();
}

void Outbound::append_chunk(const frame::Header& header, std::span<const std::byte> payload,
                            base::ChunkRef chunk) {
  push(header, payload, std::move(chunk));
  check();
}

void Outbound::append_shared(const SharedMessage& message, std::span<const std::byte> frame) {
  push(Piece::Kind::frames, frame, message);
  check();
}

void Outbound::append_rest(const SharedMessage& message, std::span<const std::byte> rest,
                           bool begun) {
  TERN_DEBUG_ASSERT(empty());
  push(Piece::Kind::frames, rest, message);
  head_begun_ = begun;
  check();
}

void Outbound::append_frame(std::span<const std::byte> frame) {
  if (!takes(frame.data())) {
    make_room();
    close_run();
  }
  append_adjacent(frame);
}

void Outbound::append_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  std::memcpy(room(bytes.size(), Piece::Kind::http), bytes.data(), bytes.size());
  wrote(bytes.size());
  check();
}

void Outbound::append_body(std::shared_ptr<const std::string> body, int file) {
  if (body == nullptr || body->empty()) return;
  const auto bytes = std::as_bytes(std::span(*body));
  push(Piece::Kind::http, bytes, std::move(body));
  if (file >= 0) {
    pieces_.back().set_file(file);
    has_files_ = true;
  }
  check();
}

OutputFile Outbound::output_file() const noexcept {
  OutputFile found;
  if (!has_files_) return found;
  for (std::size_t i = head_; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (piece.file() >= 0) {
      found.descriptor = piece.file();
      found.offset = piece.file_offset();
      found.bytes = piece.size();
      return found;
    }
    found.before += piece.size();
  }
  return {};
}

// A piece in the tail must not be empty, so the run stays as it is until wrote_http().
std::span<std::byte> Outbound::http_room(std::size_t least, std::size_t most) {
  std::byte* const out = room(least, Piece::Kind::http);
  return {out, std::min(most, static_cast<std::size_t>(tail_end_ - out))};
}

void Outbound::wrote_http(std::size_t size) noexcept {
  wrote(size);
  check();
}

void Outbound::append_emergency(std::span<const std::byte> frame) noexcept {
  drop_unstarted();
  forget_written();
  if (pieces_.size() == pieces_.capacity()) return;  // a second emergency
  queued_ += pieces_.emplace_back(frame).size();
}

// ---- pings and pongs

// Returns the index of the first piece from the head on that is not HTTP.
std::size_t Outbound::first_frame() const noexcept {
  std::size_t i = head_;
  while (i < pieces_.size() && pieces_[i].kind() == Piece::Kind::http) ++i;
  return i;
}

// Returns the first index from the head on at which a frame may be inserted.
std::size_t Outbound::border() const noexcept {
  const std::size_t i = first_frame();
  return i == head_ && head_begun_ ? i + 1 : i;
}

void Outbound::append_control(const frame::Header& header, std::span<const std::byte> payload) {
  const bool pong = header.opcode == frame::Opcode::pong;
  const Piece::Kind kind = pong ? Piece::Kind::pong : Piece::Kind::ping;
  make_tail_room(max_control_frame);
  std::byte* const out = tail_next_;
  const std::size_t size = write_frame(out, header, payload);
  tail_next_ += size;
  // The new control frame is inserted behind the others that wait.
  std::size_t at = border();
  std::size_t waiting = 0;
  std::size_t newest = at;
  for (; at < pieces_.size() && pieces_[at].is_control(); ++at) {
    if (pieces_[at].kind() != kind) continue;
    ++waiting;
    newest = at;
  }
  if (waiting >= (pong ? max_pongs : max_pings)) {
    queued_ -= pieces_[newest].size();
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(newest));
    --at;
  }
  pieces_.emplace_back(kind, std::span<const std::byte>(out, size), tail_);
  queued_ += size;
  std::rotate(pieces_.begin() + static_cast<std::ptrdiff_t>(at), pieces_.end() - 1, pieces_.end());
  check();
}

// Control frames wait in front of all messages, so the search ends at the first message.
bool Outbound::has_pings() const noexcept {
  std::size_t i = first_frame();
  if (i == head_ && head_begun_ && !pieces_[i].is_control()) ++i;
  for (; i < pieces_.size() && pieces_[i].is_control(); ++i) {
    if (pieces_[i].kind() == Piece::Kind::ping) return true;
  }
  return false;
}

// ---- writing

[[gnu::hot]] std::span<const iovec> Outbound::output_pieces() noexcept {
  close_run();
  std::size_t count = 0;
  for (std::size_t i = head_; i < pieces_.size(); ++i) {
    if (count + Piece::max_iovecs > iovecs_.size()) break;
    count += pieces_[i].gather(iovecs_.data() + count);
  }
  check();
  return {iovecs_.data(), count};
}

void Outbound::consume_part(std::size_t written) noexcept {
  close_run();
  queued_ -= written;
  while (written > 0) {
    Piece& first = pieces_[head_];
    if (written < first.size()) {
      first.drop_front(written);
      head_begun_ = true;
      break;
    }
    written -= first.size();
    first.release_owner();
    head_begun_ = false;
    ++head_;
  }
  check();
}

void Outbound::copy_borrowed() {
  if (run_source_ == Source::borrowed) close_run();
  if (!borrows_) return;
  for (std::size_t i = head_; i < pieces_.size(); ++i) {
    if (pieces_[i].is_borrowed()) pieces_[i].copy_payload(*pool_);
  }
  borrows_ = false;
  check();
}

void Outbound::drop_unstarted() noexcept {
  close_run();
  for (std::size_t keep = border(); pieces_.size() > keep;) {
    queued_ -= pieces_.back().size();
    pieces_.pop_back();
  }
  check();
}

}  // namespace tern::engine
