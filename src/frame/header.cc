// Decodes the header of a frame (RFC 6455 §5.2). Decoding checks byte 0, then byte 1, then the
// length, and reports the first fault in this order, however the bytes arrive. The code compares
// lengths but never adds to them, because a 64-bit length from a peer can overflow a sum. A length
// has only one form, the shortest.
#include "frame/header.h"

#include "base/endian.h"

#include <cstring>

namespace tern::frame {
namespace {

// Opcodes 3-7 and 11-15 are reserved (§5.2). `opcodes` has a bit for each other opcode.
constexpr bool known(std::uint8_t opcode) noexcept {
  constexpr unsigned opcodes = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 8 | 1u << 9 | 1u << 10;
  return (opcodes >> opcode & 1u) != 0;
}

constexpr Decoded fault(Errc errc) noexcept { return {0, errc}; }

// check_byte_0 and check_byte_1 hold the rules of §5.1, §5.2 and §5.5 for the first two bytes.
Errc check_byte_0(std::uint8_t byte, Rsv1 rsv1) noexcept {
  const auto opcode = static_cast<std::uint8_t>(byte & opcode_bits);
  if ((byte & reserved_bits) != 0) {
    const bool allowed = rsv1 == Rsv1::compressed && (opcode == 1 || opcode == 2) &&
                         (byte & reserved_bits) == rsv1_bit;
    if (!allowed) return Errc::frame_reserved_bits;
  }
  if (!known(opcode)) return Errc::frame_reserved_opcode;
  if (opcode >= 8 && (byte & fin_bit) == 0) return Errc::control_frame_fragmented;
  return {};
}

Errc check_byte_1(std::uint8_t byte, bool control, Masking masking) noexcept {
  const bool masked = (byte & mask_bit) != 0;
  if (masked != (masking == Masking::masked)) {
    return masked ? Errc::frame_masked : Errc::frame_unmasked;
  }
  if (control && (byte & length_bits) > max_control_payload) return Errc::control_frame_too_long;
  return {};
}

}  // namespace

[[gnu::hot]] Decoded decode_header(std::span<const std::byte> bytes, Masking masking,
                                   Header& header, Rsv1 rsv1) noexcept {
  if (bytes.empty()) return {};
  const auto byte_0 = std::to_integer<std::uint8_t>(bytes[0]);
  if (const Errc errc = check_byte_0(byte_0, rsv1); errc != Errc{}) return fault(errc);
  header.fin = (byte_0 & fin_bit) != 0;
  header.compressed = (byte_0 & rsv1_bit) != 0;
  header.opcode = static_cast<Opcode>(byte_0 & opcode_bits);

  if (bytes.size() < 2) return {};
  const auto byte_1 = std::to_integer<std::uint8_t>(bytes[1]);
  const Errc errc = check_byte_1(byte_1, is_control(header.opcode), masking);
  if (errc != Errc{}) return fault(errc);

  std::size_t size = 2;
  header.length = byte_1 & length_bits;
  if (header.length == length_16) {
    if (bytes.size() < size + 2) return {};
    header.length = base::load_be16(bytes.data() + size);
    if (header.length < length_16) return fault(Errc::frame_length_not_minimal);
    size += 2;
  } else if (header.length == length_64) {
    if (bytes.size() < size + 8) return {};
    header.length = base::load_be64(bytes.data() + size);
    if (header.length >> 63 != 0) return fault(Errc::frame_length_top_bit);
    if (header.length <= 0xFFFF) return fault(Errc::frame_length_not_minimal);
    size += 8;
  }

  if (masking == Masking::masked) {
    if (bytes.size() < size + key_bytes) return {};
    std::memcpy(&header.key, bytes.data() + size, key_bytes);
    size += key_bytes;
  }
  return {size, {}};
}

}  // namespace tern::frame
