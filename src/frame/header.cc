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

// The rules of §5.2, §5.5 and RFC 7692 §6 for byte 0. header.h has the rules for the bytes behind
// it, because the fast path for usual headers also applies them.
constexpr Errc check_byte_0(std::uint8_t byte, Rsv1 rsv1) noexcept {
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

static_assert(check_byte_0(whole_text, Rsv1::reserved) == Errc{} &&
              check_byte_0(whole_binary, Rsv1::reserved) == Errc{});

}  // namespace

[[gnu::hot]] Decoded decode_header(std::span<const std::byte> bytes, Masking masking,
                                   Header& header, Rsv1 rsv1) noexcept {
  if (bytes.empty()) return {};
  const auto byte_0 = std::to_integer<std::uint8_t>(bytes[0]);
  if (const Errc errc = check_byte_0(byte_0, rsv1); errc != Errc{}) return fault(errc);
  header.fin = (byte_0 & fin_bit) != 0;
  header.compressed = (byte_0 & rsv1_bit) != 0;
  header.opcode = static_cast<Opcode>(byte_0 & opcode_bits);
  return decode_behind_byte_0(bytes, masking, header);
}

}  // namespace tern::frame
