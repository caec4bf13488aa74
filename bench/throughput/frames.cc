#include "throughput/frames.h"

#include "simd/mask.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

// Latin with marks, Greek, Cyrillic, Devanagari, CJK, symbols, emoji: no two neighbours of the
// same length for long, which is what makes a decoder's branches go wrong.
constexpr std::string_view many_scripts = "äλЖ漢🙂éδ語€हы🚀ñ字";
constexpr std::uint32_t masking_key = 0xA53C'96F1;

// The longest beginning of `text` that is at most `size` bytes and ends between characters.
std::string_view whole_characters(std::string_view text, std::size_t size) noexcept {
  if (size >= text.size()) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

std::string_view to_string(PayloadKind kind) noexcept {
  constexpr std::array<std::string_view, 3> names{"binary", "ascii", "mixed"};
  return names[static_cast<std::size_t>(kind)];
}

frame::Opcode opcode_of(PayloadKind kind) noexcept {
  return kind == PayloadKind::binary ? frame::Opcode::binary : frame::Opcode::text;
}

std::string make_payload(PayloadKind kind, std::size_t size) {
  std::string payload;
  payload.reserve(size);
  if (kind == PayloadKind::mixed) {
    while (payload.size() + many_scripts.size() <= size) payload += many_scripts;
    payload += whole_characters(many_scripts, size - payload.size());
    payload.resize(size, '.');
    return payload;
  }
  std::uint32_t state = 1;
  while (payload.size() < size) {
    state = state * 1664525u + 1013904223u;  // Knuth's linear congruential generator
    const std::uint32_t random = state >> 24;
    payload += static_cast<char>(kind == PayloadKind::ascii ? ' ' + random % 95 : random);
  }
  return payload;
}

std::vector<std::byte> make_frame(frame::Opcode opcode, std::string_view payload,
                                  frame::Masking masking) {
  const frame::Header header{
      .length = payload.size(), .key = masking_key, .opcode = opcode, .fin = true};
  std::vector<std::byte> bytes(frame::max_header_bytes + payload.size());
  const std::size_t size = frame::encode_header(bytes.data(), header, masking);
  bytes.resize(size + payload.size());
  const std::uint32_t key = masking == frame::Masking::masked ? masking_key : 0;
  simd::mask_copy(bytes.data() + size, std::as_bytes(std::span(payload)), key);
  return bytes;
}

FrameTrain::FrameTrain(std::vector<std::byte> frame, std::size_t at_least)
    : frame_bytes_(frame.size()), bytes_(std::move(frame)) {
  const std::size_t copies = std::max<std::size_t>(1, (at_least + frame_bytes_ - 1) / frame_bytes_);
  bytes_.resize(copies * frame_bytes_);
  for (std::size_t at = frame_bytes_; at < bytes_.size(); at += frame_bytes_) {
    std::copy_n(bytes_.begin(), frame_bytes_, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

std::span<const std::byte> FrameTrain::from(std::size_t phase, std::size_t most) const noexcept {
  return {bytes_.data() + phase, std::min(most, bytes_.size() - phase)};
}

bool TrainSender::send(int socket, const FrameTrain& train) noexcept {
  while (owed_ > 0) {
    const auto piece = train.from(phase_, owed_);
    const ssize_t sent = ::send(socket, piece.data(), piece.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    owed_ -= static_cast<std::size_t>(sent);
    phase_ = (phase_ + static_cast<std::size_t>(sent)) % train.frame_bytes();
    if (static_cast<std::size_t>(sent) < piece.size()) return true;  // it would only say EAGAIN
  }
  return true;
}

}  // namespace tern::bench
