// Decodes and encodes the header of a frame. This room holds the only copy of the rules of RFC 6455
// §5.2.
//
//   byte 0    FIN | RSV1 RSV2 RSV3 | opcode (4)    RSV1: compressed, if both sides agreed on it
//   byte 1    MASK | length (7): 0-125 itself, 126: 16 bits follow, 127: 64 bits follow
//   …         extended length, big-endian; 4 bytes of masking key if MASK
#pragma once

#include "tern/error.h"

#include "base/endian.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tern::frame {

enum class Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

/// Opcodes from 8 on are control frames (RFC 6455 §5.5).
constexpr bool is_control(Opcode opcode) noexcept { return static_cast<std::uint8_t>(opcode) >= 8; }

// The fields of the first two bytes.
inline constexpr std::uint8_t fin_bit = 0x80;
inline constexpr std::uint8_t reserved_bits = 0x70;
inline constexpr std::uint8_t rsv1_bit = 0x40;
inline constexpr std::uint8_t opcode_bits = 0x0F;
inline constexpr std::uint8_t mask_bit = 0x80;
inline constexpr std::uint8_t length_bits = 0x7F;
inline constexpr std::uint8_t length_16 = 126;
inline constexpr std::uint8_t length_64 = 127;
inline constexpr std::size_t key_bytes = 4;

inline constexpr std::size_t max_header_bytes = 14;
inline constexpr std::size_t max_control_payload = 125;  // RFC 6455 §5.5

/// Whether the frames of one direction are masked. A client masks its frames, a server does not
/// (RFC 6455 §5.1).
enum class Masking : std::uint8_t { unmasked, masked };

struct Header {
  std::uint64_t length = 0;
  std::uint32_t key = 0;  // the masking key: its four bytes in the order of the wire
  Opcode opcode = Opcode::continuation;
  bool fin = false;
  bool compressed = false;  // RSV1 on the first frame of a message, RFC 7692 §6
};

/// Whether both sides agreed on permessage-deflate. If they did, the first frame of a message may
/// set RSV1 (RFC 7692 §6).
enum class Rsv1 : std::uint8_t { reserved, compressed };

/// The result of decode_header: an error, or the size of the header. The size is 0 if the header is
/// incomplete.
struct Decoded {
  std::size_t size = 0;
  Errc error{};

  constexpr bool failed() const noexcept { return error != Errc{}; }
};

/// Decodes the frame header at the start of `bytes`. `masking` is the rule for the direction of the
/// frame. Faults are found in the order of the bytes, so the result does not depend on how the
/// input is cut. Errors: frame_reserved_bits, frame_reserved_opcode, control_frame_fragmented,
/// frame_unmasked, frame_masked, control_frame_too_long, frame_length_not_minimal,
/// frame_length_top_bit.
Decoded decode_header(std::span<const std::byte> bytes, Masking masking, Header& header,
                      Rsv1 rsv1 = Rsv1::reserved) noexcept;

/// The rules for the MASK bit (§5.1) and for the length of a control frame (§5.5).
constexpr Errc check_byte_1(std::uint8_t byte, Opcode opcode, Masking masking) noexcept {
  const bool masked = (byte & mask_bit) != 0;
  if (masked != (masking == Masking::masked)) {
    return masked ? Errc::frame_masked : Errc::frame_unmasked;
  }
  const bool too_long = is_control(opcode) && (byte & length_bits) > max_control_payload;
  return too_long ? Errc::control_frame_too_long : Errc{};
}

/// Decodes the rest of a header whose byte 0 is decoded to `header` already. Errors: those of
/// decode_header() for the MASK bit and the length.
[[gnu::always_inline]] inline Decoded decode_behind_byte_0(std::span<const std::byte> bytes,
                                                           Masking masking,
                                                           Header& header) noexcept {
  if (bytes.size() < 2) return {};
  const auto byte_1 = std::to_integer<std::uint8_t>(bytes[1]);
  if (const Errc errc = check_byte_1(byte_1, header.opcode, masking); errc != Errc{}) {
    return {0, errc};
  }
  std::size_t size = 2;
  header.length = byte_1 & length_bits;
  if (header.length < length_16) {
    // The length is in byte 1.
  } else if (header.length == length_16) {
    if (bytes.size() < size + 2) return {};
    header.length = base::load_be16(bytes.data() + size);
    if (header.length < length_16) return {0, Errc::frame_length_not_minimal};
    size += 2;
  } else {
    if (bytes.size() < size + 8) return {};
    header.length = base::load_be64(bytes.data() + size);
    if (header.length >> 63 != 0) return {0, Errc::frame_length_top_bit};
    if (header.length <= 0xFFFF) return {0, Errc::frame_length_not_minimal};
    size += 8;
  }
  if (masking == Masking::masked) {
    if (bytes.size() < size + key_bytes) return {};
    std::memcpy(&header.key, bytes.data() + size, key_bytes);
    size += key_bytes;
  }
  return {size, {}};
}

// Byte 0 of the usual messages: one frame, not compressed. header.cc proves that it passes the
// check.
inline constexpr std::uint8_t whole_text = fin_bit | static_cast<std::uint8_t>(Opcode::text);
inline constexpr std::uint8_t whole_binary = fin_bit | static_cast<std::uint8_t>(Opcode::binary);

/// Decodes the usual header of a client: a masked text or binary message in one frame. Returns the
/// size of the header. Returns 0 for any other header, a header with a fault and an incomplete
/// header; the caller then calls decode_header(), and `header` is unspecified.
[[gnu::always_inline]] inline std::size_t decode_usual_header(std::span<const std::byte> bytes,
                                                              Header& header) noexcept {
  if (bytes.size() < 2 + key_bytes) return 0;
  const auto byte_0 = std::to_integer<std::uint8_t>(bytes[0]);
  if (byte_0 != whole_text && byte_0 != whole_binary) return 0;
  header.fin = true;
  header.compressed = false;
  header.opcode = static_cast<Opcode>(byte_0 & opcode_bits);
  return decode_behind_byte_0(bytes, Masking::masked, header).size;
}

/// Returns the size of the header of a frame with a payload of `length` bytes. A length has only
/// one form, the shortest (RFC 6455 §5.2).
constexpr std::size_t header_size(std::uint64_t length, Masking masking) noexcept {
  const std::size_t of_length = length < 126 ? 0 : length <= 0xFFFF ? 2 : 8;
  return 2 + of_length + (masking == Masking::masked ? 4 : 0);
}

/// Encodes the header of a frame into `out`, which has room for max_header_bytes. Returns its size.
/// The key is written only if `masking` is `masked`.
inline std::size_t encode_header(std::byte* out, const Header& header, Masking masking) noexcept {
  const std::uint8_t mask = masking == Masking::masked ? mask_bit : 0;
  out[0] = static_cast<std::byte>((header.fin ? fin_bit : 0) | (header.compressed ? rsv1_bit : 0) |
                                  static_cast<std::uint8_t>(header.opcode));
  std::size_t size = 2;
  if (header.length < length_16) {
    out[1] = static_cast<std::byte>(mask | static_cast<std::uint8_t>(header.length));
  } else if (header.length <= 0xFFFF) {
    out[1] = static_cast<std::byte>(mask | length_16);
    base::store_be16(out + size, static_cast<std::uint16_t>(header.length));
    size += 2;
  } else {
    out[1] = static_cast<std::byte>(mask | length_64);
    base::store_be64(out + size, header.length);
    size += 8;
  }
  if (masking == Masking::masked) {
    std::memcpy(out + size, &header.key, key_bytes);
    size += key_bytes;
  }
  return size;
}

}  // namespace tern::frame
