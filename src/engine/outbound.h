// Encodes messages, and holds the bytes that wait for the socket, in the order of the wire.
#pragma once

#include "tern/engine.h"

#include "base/assert.h"
#include "base/chunk_pool.h"
#include "engine/piece.h"
#include "frame/header.h"
#include "simd/mask.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace tern::engine {

class Outbound {
 public:
  static constexpr std::size_t max_iovecs = 256;  // of one writev
  static constexpr std::size_t max_pongs = 32;    // that wait, see Engine::next
  static constexpr std::size_t max_pings = 16;    // that wait, see Engine::ping

  explicit Outbound(base::ChunkPool& pool);
  void start(Role role) noexcept;
  void clear() noexcept;

  bool empty() const noexcept { return queued_ == 0; }
  /// Whether a part of the first frame is written, and the rest waits for the socket.
  bool is_begun() const noexcept { return head_begun_; }
  std::size_t queued_bytes() const noexcept { return queued_; }
  bool has_pings() const noexcept;

  // The append functions throw std::bad_alloc. In that case the queue is unchanged.

  /// Copies a frame. A client masks it meanwhile with `header.key`.
  void append_copy(const frame::Header& header, std::span<const std::byte> payload);
  /// Server only: references the payload until settle().
  void append_borrowed(const frame::Header& header, std::span<const std::byte> payload);
  /// Server only: shares the chunk that the payload lies in.
  void append_chunk(const frame::Header& header, std::span<const std::byte> payload,
                    base::ChunkRef chunk);
  /// Server only: shares the encoded frame, in one of its forms.
  void append_shared(const SharedMessage& message, std::span<const std::byte> frame);
  /// Server only: shares the rest of a frame. The queue is empty. If the frame is `begun`, no
  /// control frame enters before it.
  void append_rest(const SharedMessage& message, std::span<const std::byte> rest, bool begun);
  /// Server only: references a whole frame until settle().
  void append_frame(std::span<const std::byte> frame);
  /// Whether a borrowed frame that begins at `frame` needs no piece of its own: nothing else waits,
  /// or the run is borrowed and ends there.
  bool takes(const std::byte* frame) const noexcept {
    return empty() || (run_end() == frame && run_source_ == Source::borrowed);
  }
  /// The same as append_frame() for a frame that the queue takes().
  void append_adjacent(std::span<const std::byte> frame) noexcept;
  /// Copies bytes of HTTP.
  void append_bytes(std::span<const std::byte> bytes);
  /// Shares the body of an HTTP answer. `file` has the same bytes; -1: there is none.
  void append_body(std::shared_ptr<const std::string> body, int file = -1);
  /// Returns room for bytes of HTTP behind all that is queued: at least `least` and at most `most`
  /// bytes. Lifetime: until the next call on this object.
  std::span<std::byte> http_room(std::size_t least, std::size_t most);
  /// The first `size` bytes of http_room() were written.
  void wrote_http(std::size_t size) noexcept;
  /// Inserts a ping or pong at the first border between frames. If max_pings or max_pongs of its
  /// kind wait already, the newest of them is dropped.
  void append_control(const frame::Header& header, std::span<const std::byte> payload);
  /// Drops the frames that are not begun and appends a frame of at most Piece::max_header bytes.
  /// Works without memory, because the queue always has room for one piece more.
  void append_emergency(std::span<const std::byte> frame) noexcept;

  /// Returns the pieces for the next writev. Lifetime: until the next call on this object.
  std::span<const iovec> output() noexcept {
    if (pieces_.empty()) return {&run_, run_.iov_len > 0 ? 1u : 0u};
    return output_pieces();
  }
  /// See Engine::output_file(). It belongs to the last output().
  OutputFile output_file() const noexcept;
  void consume(std::size_t written) noexcept {
    if (written == queued_) return clear();
    consume_part(written);
  }
  /// Copies all that is borrowed. Throws std::bad_alloc.
  void settle() {
    if (!empty()) copy_borrowed();
  }
  /// Drops all frames but the ones in the piece that is being written.
  void drop_unstarted() noexcept;

  /// The rules that hold between any two calls; outbound.cc lists them. Debug builds check them
  /// after each call. Takes O(queue).
  bool is_consistent() const noexcept;

 private:
  /// Where the bytes of the run lie.
  enum class Source : std::uint8_t { tail, borrowed };

  void check() const noexcept { TERN_DEBUG_ASSERT(is_consistent()); }
  void clear_pieces() noexcept;
  const std::byte* run_end() const noexcept {
    return static_cast<const std::byte*>(run_.iov_base) + run_.iov_len;
  }
  void close_run() noexcept;
  std::byte* room(std::size_t bytes, Piece::Kind kind);
  void begin_tail_run(std::size_t bytes, Piece::Kind kind);
  void make_tail_room(std::size_t bytes);
  void wrote(std::size_t bytes) noexcept;
  std::size_t write_frame(std::byte* out, const frame::Header& header,
                          std::span<const std::byte> payload) const noexcept;
  void make_room();
  template <typename... Args>
  void push(Args&&... args);
  void forget_written() noexcept;
  std::size_t first_frame() const noexcept;
  std::size_t border() const noexcept;
  std::span<const iovec> output_pieces() noexcept;
  void consume_part(std::size_t written) noexcept;
  void copy_borrowed();

  base::ChunkPool* pool_;
  std::size_t queued_ = 0;  // bytes in pieces_ from head_ on, and in the run

  // The run is the last piece of the queue while it grows: small frames that are copied side by
  // side, or borrowed frames that follow each other in memory. It joins pieces_ when anything else
  // happens. Usually nothing else waits.
  iovec run_{};  // iov_len is 0: none
  Source run_source_ = Source::tail;
  Piece::Kind run_kind_ = Piece::Kind::frames;

  frame::Masking masking_ = frame::Masking::unmasked;
  bool head_begun_ = false;  // a part of pieces_[head_] is written
  bool borrows_ = false;     // a piece may be borrowed
  bool has_files_ = false;   // a piece may lie in a file, too

  // The queue in front of the run. The pieces before head_ are written.
  std::vector<Piece> pieces_;
  std::size_t head_ = 0;

  // The chunk to which small frames are copied.
  base::ChunkRef tail_{};
  std::byte* tail_next_ = nullptr;
  std::byte* tail_end_ = nullptr;

  std::vector<iovec> iovecs_;  // of the last output_pieces(); the size is the limit of a call
};

inline void Outbound::start(Role role) noexcept {
  masking_ = role == Role::client ? frame::Masking::masked : frame::Masking::unmasked;
}

// Each small message passes through the following functions, so they are inline.

/// Room for `bytes` bytes at the end of the run.
inline std::byte* Outbound::room(std::size_t bytes, Piece::Kind kind) {
  if (static_cast<std::size_t>(tail_end_ - tail_next_) < bytes || run_end() != tail_next_ ||
      run_kind_ != kind) {
    begin_tail_run(bytes, kind);
  }
  return tail_next_;
}

/// `bytes` bytes were written to room().
inline void Outbound::wrote(std::size_t bytes) noexcept {
  tail_next_ += bytes;
  run_.iov_len += bytes;
  queued_ += bytes;
}

/// Writes header and payload to `out`. Returns their size.
inline std::size_t Outbound::write_frame(std::byte* out, const frame::Header& header,
                                         std::span<const std::byte> payload) const noexcept {
  const std::size_t size = frame::encode_header(out, header, masking_);
  // The key of a server is 0, so mask_copy() only copies. For a short payload it is inline, and
  // memcpy() would be a call.
  if (masking_ == frame::Masking::masked || payload.size() <= simd::max_inline_mask) {
    simd::mask_copy(out + size, payload, header.key);
  } else {
    std::memcpy(out + size, payload.data(), payload.size());
  }
  return size + payload.size();
}

inline void Outbound::append_copy(const frame::Header& header, std::span<const std::byte> payload) {
  std::byte* const out = room(frame::max_header_bytes + payload.size(), Piece::Kind::frames);
  wrote(write_frame(out, header, payload));
  check();
}

inline void Outbound::append_adjacent(std::span<const std::byte> frame) noexcept {
  if (run_.iov_len == 0) {
    run_.iov_base = const_cast<std::byte*>(frame.data());
    run_source_ = Source::borrowed;
    run_kind_ = Piece::Kind::frames;
  }
  run_.iov_len += frame.size();
  queued_ += frame.size();
  check();
}

}  // namespace tern::engine
