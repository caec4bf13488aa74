// Messages to bytes: a queue of pieces to write, in the order of the wire.
#pragma once

#include "tern/engine.h"

#include "base/chunk_pool.h"
#include "frame/header.h"
#include "simd/mask.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <sys/uio.h>
#include <variant>
#include <vector>

namespace tern::engine {

class Outbound {
 public:
  static constexpr std::size_t max_pieces = 256;  // of one writev
  static constexpr std::size_t max_pongs = 32;    // that wait, see Engine::next
  static constexpr std::size_t max_pings = 16;    // that wait, see Engine::ping

  explicit Outbound(base::ChunkPool& pool);
  void start(Role role) noexcept;
  void clear() noexcept;

  bool empty() const noexcept { return queued_ == 0; }
  std::size_t queued_bytes() const noexcept { return queued_; }
  bool has_pings() const noexcept { return pings_ > 0; }

  // All of these throw std::bad_alloc, and then have done nothing.
  /// Copies, or masks while copying: `header.key` counts only for a client.
  void append_copy(const frame::Header& header, std::span<const std::byte> payload);
  /// The same for a Close frame: nothing enters behind it (RFC 6455 §5.5.1).
  void append_close(const frame::Header& header, std::span<const std::byte> payload);
  /// Unmasked: references the payload until settle().
  void append_borrowed(const frame::Header& header, std::span<const std::byte> payload);
  /// The same for a payload that lies behind room for its header, with which it is one piece.
  void append_framed(const frame::Header& header, std::span<const std::byte> payload);
  /// Whether such a payload needs no piece: it is the first, or begins where the echoes end that
  /// wait.
  bool takes_echo(std::span<const std::byte> payload) const noexcept;
  /// Then: takes it, unmasked.
  void append_echo(const frame::Header& header, std::span<const std::byte> payload) noexcept;
  /// Unmasked: shares the chunk that the payload lies in.
  void append_chunk(const frame::Header& header, std::span<const std::byte> payload,
                    base::ChunkRef chunk);
  /// Unmasked: shares the encoded frame, in one of its forms.
  void append_shared(const SharedMessage& message, std::span<const std::byte> frame);
  /// No frame: HTTP.
  void append_bytes(std::span<const std::byte> bytes);
  void append_body(std::shared_ptr<const std::string> body);
  /// A ping or pong, which goes out at the next border between frames. Of those that wait, the
  /// newest replaces the last of its kind beyond max_pongs and max_pings.
  void append_control(const frame::Header& header, std::span<const std::byte> payload);
  /// A small frame when no memory is left: room for it is kept. Drops the frames not yet begun.
  void append_emergency(std::span<const std::byte> frame) noexcept;

  std::span<const iovec> output() {
    if (only_echoes()) return {&echoes_, 1};
    return output_pieces();
  }
  void consume(std::size_t written) noexcept {
    if (!only_echoes() || written != queued_) return consume_pieces(written);
    echoes_ = {};
    queued_ = 0;
  }
  /// Copies what is borrowed. Throws std::bad_alloc.
  void settle();
  /// Drops all frames but the one that is being written.
  void drop_unstarted() noexcept;

 private:
  using Borrowed = std::monostate;
  using Body = std::shared_ptr<const std::string>;
  using Owner = std::variant<Borrowed, base::ChunkRef, SharedMessage, Body>;

  struct Piece {
    Owner owner{};
    bool starts_frame = true;
    bool ends_frame = true;
    bool http = false;
    std::uint8_t pongs = 0;
    std::uint8_t pings = 0;

    bool holds_controls() const noexcept { return pongs + pings > 0; }
  };
  struct Control {
    std::uint16_t offset;
    std::uint16_t size;
    frame::Opcode opcode;
  };

  bool only_echoes() const noexcept { return echoes_.iov_len > 0 && echoes_.iov_len == queued_; }
  std::span<const iovec> output_pieces();
  void consume_pieces(std::size_t written) noexcept;
  void enroll() noexcept;
  bool continues(std::size_t bytes, bool http) const noexcept;
  static std::byte* header_room(std::span<const std::byte> payload) noexcept;
  std::byte* room(std::size_t bytes, bool http = false);
  void begin_piece(std::size_t bytes, bool http);
  void reset() noexcept;
  void drop_tail() noexcept;
  Piece& push(const std::byte* data, std::size_t size) noexcept;
  void wrote(std::size_t bytes, bool ends_frame) noexcept;
  std::size_t write_frame(std::byte* out, const frame::Header& header,
                          std::span<const std::byte> payload) const noexcept;
  void append_header(const frame::Header& header, bool ends_frame);
  void reserve(std::size_t more);
  void make_room_for(std::size_t pieces);
  void forget_written() noexcept;
  void drop_control(frame::Opcode opcode) noexcept;
  bool controls_entered() const noexcept;
  void commit_controls();
  std::size_t border() const noexcept;
  void pop() noexcept;

  base::ChunkPool* pool_;
  frame::Masking masking_ = frame::Masking::unmasked;

  // Echoes that follow each other, behind all pieces: mostly all there is, so they become a piece
  // only when they have to, and there is room for it. iov_len 0: none.
  iovec echoes_{};

  // Two lists of one length: what writev takes, and who owns it. [0, head_) is written.
  std::vector<iovec> iov_;
  std::vector<Piece> pieces_;
  std::size_t head_ = 0;
  bool head_begun_ = false;  // a part of the first piece is written
  std::size_t queued_ = 0;
  bool borrows_ = false;

  // Small frames are laid side by side here.
  base::ChunkRef tail_{};
  std::byte* tail_next_ = nullptr;
  std::byte* tail_end_ = nullptr;

  // Pings and pongs that are not among the pieces yet.
  std::vector<Control> waiting_;
  base::ChunkRef control_{};
  std::size_t control_used_ = 0;
  std::size_t pongs_ = 0;  // waiting or among the pieces
  std::size_t pings_ = 0;

  std::array<std::byte, 16> emergency_{};
};

inline void Outbound::start(Role role) noexcept {
  masking_ = role == Role::client ? frame::Masking::masked : frame::Masking::unmasked;
}

// ---- the way of a small frame, inline

/// Whether the next bytes of the tail may join the last piece: it ends where they begin. (Nothing
/// else can end there: a chunk's head lies before its first byte. Nor is it half a frame: a header
/// without its payload is never the last piece.)
inline bool Outbound::continues(std::size_t bytes, bool http) const noexcept {
  if (static_cast<std::size_t>(tail_end_ - tail_next_) < bytes || head_ == pieces_.size() ||
      echoes_.iov_len > 0) {
    return false;
  }
  const iovec& last = iov_.back();
  return static_cast<std::byte*>(last.iov_base) + last.iov_len == tail_next_ &&
         pieces_.back().http == http;
}

/// Where a server's header begins that ends where the payload does.
inline std::byte* Outbound::header_room(std::span<const std::byte> payload) noexcept {
  return const_cast<std::byte*>(payload.data()) -
         frame::header_size(payload.size(), frame::Masking::unmasked);
}

inline bool Outbound::takes_echo(std::span<const std::byte> payload) const noexcept {
  if (echoes_.iov_len == 0) return pieces_.empty();
  return static_cast<const std::byte*>(echoes_.iov_base) + echoes_.iov_len == header_room(payload);
}

inline void Outbound::append_echo(const frame::Header& header,
                                  std::span<const std::byte> payload) noexcept {
  std::byte* const out = header_room(payload);
  const std::size_t size =
      frame::encode_header(out, header, frame::Masking::unmasked) + payload.size();
  if (echoes_.iov_len == 0) echoes_.iov_base = out;
  echoes_.iov_len += size;
  queued_ += size;
}

inline void Outbound::reserve(std::size_t more) {
  enroll();
  const std::size_t size = pieces_.size() + more;
  if (size > pieces_.capacity() || size > iov_.capacity() || head_ > max_pieces)
    make_room_for(size);
}

/// Room for so many bytes behind what was appended last, in the piece that is the last then.
inline std::byte* Outbound::room(std::size_t bytes, bool http) {
  if (!continues(bytes, http)) begin_piece(bytes, http);
  return tail_next_;
}

/// So many of them were written there.
inline void Outbound::wrote(std::size_t bytes, bool ends_frame) noexcept {
  tail_next_ += bytes;
  iov_.back().iov_len += bytes;
  pieces_.back().ends_frame = ends_frame;
  queued_ += bytes;
}

/// Header and payload to `out`; their size.
[[gnu::always_inline]] inline std::size_t Outbound::write_frame(
    std::byte* out, const frame::Header& header,
    std::span<const std::byte> payload) const noexcept {
  const std::size_t size = frame::encode_header(out, header, masking_);
  // A server's key is 0: what is short is masked with it, which needs no call.
  if (masking_ == frame::Masking::masked || payload.size() <= simd::max_inline_mask) {
    simd::mask_copy(out + size, payload, header.key);
  } else {
    std::memcpy(out + size, payload.data(), payload.size());
  }
  return size + payload.size();
}

[[gnu::always_inline]] inline void Outbound::append_copy(const frame::Header& header,
                                                         std::span<const std::byte> payload) {
  std::byte* const out = room(frame::max_header_bytes + payload.size());
  wrote(write_frame(out, header, payload), true);
}

}  // namespace tern::engine
