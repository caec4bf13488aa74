// Headers of frames (RFC 6455 §5.2), compared with their table in the simplest code.
#include "frame/header.h"
#include "support/guard_page.h"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tern::frame {
namespace {

using test::GuardPage;

constexpr auto masked = Masking::masked;
constexpr auto unmasked = Masking::unmasked;

std::string bytes(std::initializer_list<int> values) {
  std::string result;
  for (const int value : values) result.push_back(static_cast<char>(value));
  return result;
}

bool operator==(const Header& a, const Header& b) {
  return a.length == b.length && a.key == b.key && a.opcode == b.opcode && a.fin == b.fin &&
         a.compressed == b.compressed;
}

// Decodes bytes that end at a guard page, so that a read beyond them ends the process.
Decoded decode(std::string_view wire, Masking masking, Header& header) {
  static const GuardPage page(std::size_t{64});
  return decode_header(page.copy_at_end(wire), masking, header);
}

// The table of RFC 6455 §5.2 for the first two bytes, in the simplest code. Faults of byte 0 come
// before faults of byte 1.
Errc reference(int byte_0, int byte_1, Masking masking) {
  if ((byte_0 & 0x40) || (byte_0 & 0x20) || (byte_0 & 0x10)) return Errc::frame_reserved_bits;
  switch (byte_0 & 0x0F) {
    case 0:
    case 1:
    case 2:
      break;
    case 8:
    case 9:
    case 10:
      if (byte_0 < 0x80) return Errc::control_frame_fragmented;
      break;
    default:
      return Errc::frame_reserved_opcode;
  }
  if (masking == masked && byte_1 < 0x80) return Errc::frame_unmasked;
  if (masking == unmasked && byte_1 >= 0x80) return Errc::frame_masked;
  const bool long_form = byte_1 % 128 == 126 || byte_1 % 128 == 127;
  if (byte_0 % 16 >= 8 && long_form) return Errc::control_frame_too_long;
  return {};
}

// decode_usual_header adds no rule: decode_header decodes each header that it accepts to the same
// fields. It accepts every header that it is made for.
TEST(FrameHeader, Rfc6455_5_2_UsualHeaderDecodesLikeAnyOther) {
  const GuardPage page(std::size_t{64});
  int taken = 0;
  for (int byte_0 = 0; byte_0 < 256; ++byte_0) {
    for (int byte_1 = 0; byte_1 < 256; ++byte_1) {
      for (const int length : {0, 1, 125, 126, 127, 0x1234, 0xFFFF}) {
        const std::string wire = bytes({byte_0, byte_1, length >> 8, length & 0xFF, 5, 6, 7, 8});
        for (std::size_t size = 0; size <= wire.size(); ++size) {
          const auto lies = page.copy_at_end(std::string_view(wire).substr(0, size));
          Header usual;
          const std::size_t found = decode_usual_header(lies, usual);
          if (found == 0) continue;
          ++taken;
          Header whole;
          const Decoded decoded = decode_header(lies, masked, whole);
          ASSERT_FALSE(decoded.failed()) << byte_0 << ' ' << byte_1 << ' ' << length;
          ASSERT_EQ(decoded.size, found);
          ASSERT_TRUE(usual == whole);
        }
        if (byte_1 % 128 != 126) break;  // this header has no 16-bit length
      }
    }
  }
  // For text and for binary: 126 short lengths in inputs of 6, 7 and 8 bytes, and 4 long lengths in
  // the whole input.
  EXPECT_EQ(taken, 2 * (126 * 3 + 4));
}

// RFC 7692 §6: only RSV1, only on the first frame of a data message, only if both sides agreed.
TEST(FrameHeader, Rfc7692_6_Rsv1IsAllowedOnlyOnFirstFrames) {
  int compressed = 0;
  for (int byte_0 = 0; byte_0 < 256; ++byte_0) {
    const std::string wire = bytes({byte_0, 0});
    Header header;
    const Decoded decoded =
        decode_header(std::as_bytes(std::span(wire)), unmasked, header, Rsv1::compressed);
    const bool begins = byte_0 % 16 == 1 || byte_0 % 16 == 2;
    const bool allowed = begins && (byte_0 & 0x70) == 0x40;
    ASSERT_EQ(decoded.error, reference(allowed ? byte_0 & ~0x40 : byte_0, 0, unmasked)) << byte_0;
    if (decoded.failed()) continue;
    ASSERT_EQ(header.compressed, allowed) << byte_0;
    compressed += header.compressed ? 1 : 0;
    std::array<std::byte, max_header_bytes> out{};
    ASSERT_EQ(encode_header(out.data(), header, unmasked), 2u);
    ASSERT_EQ(out[0], static_cast<std::byte>(byte_0));
  }
  EXPECT_EQ(compressed, 4);  // text and binary, with and without FIN
}

TEST(FrameHeader, Rfc6455_5_2_ChecksEveryFirstAndSecondByte) {
  int accepted = 0;
  for (const Masking masking : {masked, unmasked}) {
    for (int byte_0 = 0; byte_0 < 256; ++byte_0) {
      for (int byte_1 = 0; byte_1 < 256; ++byte_1) {
        // These bytes hold a 64-bit length of 2^16, which is minimal. For a 16-bit length, byte 2
        // becomes 1: the length is 256.
        std::string wire = bytes({byte_0, byte_1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4});
        Errc expected = reference(byte_0, byte_1, masking);
        std::size_t size = masking == masked ? 6 : 2;
        if (byte_1 % 128 == 126) wire[2] = 1, size += 2;
        if (byte_1 % 128 == 127) size += 8;
        Header header;
        const Decoded decoded = decode_header(std::as_bytes(std::span(wire)), masking, header);
        ASSERT_EQ(decoded.error, expected) << byte_0 << ' ' << byte_1;
        ASSERT_EQ(decoded.size, expected == Errc{} ? size : 0) << byte_0 << ' ' << byte_1;
        if (expected != Errc{}) continue;
        ++accepted;
        ASSERT_EQ(header.fin, byte_0 >= 128);
        ASSERT_EQ(static_cast<int>(header.opcode), byte_0 % 16);
        const std::uint64_t length = static_cast<std::uint64_t>(byte_1 % 128);
        ASSERT_EQ(header.length, length == 126 ? 256 : length == 127 ? 65536 : length);
      }
    }
  }
  // 3 data opcodes, each with and without FIN, and 128 lengths; 3 control opcodes and 126 lengths;
  // both directions.
  EXPECT_EQ(accepted, 2 * (3 * 2 * 128 + 3 * 126));
}

TEST(FrameHeader, Rfc6455_5_2_RejectsAFaultInByteZeroAtOnce) {
  for (int byte_0 = 0; byte_0 < 256; ++byte_0) {
    const Errc expected = reference(byte_0, 0x80, masked);
    Header header;
    const Decoded decoded = decode(bytes({byte_0}), masked, header);
    EXPECT_EQ(decoded.size, 0u);
    EXPECT_EQ(decoded.error, expected) << byte_0;
  }
}

struct Refused {
  const char* rfc;
  std::string wire;
  Masking masking;
  Errc error;
  std::size_t known_after;  // the number of bytes that are enough to find the fault
};

std::vector<Refused> refused() {
  const auto m = masked;
  const auto u = unmasked;
  return {
      {"5.2 RSV1", bytes({0xC1, 0x80}), m, Errc::frame_reserved_bits, 1},
      {"5.2 RSV2", bytes({0xA1, 0x80}), m, Errc::frame_reserved_bits, 1},
      {"5.2 RSV3", bytes({0x91, 0x00}), u, Errc::frame_reserved_bits, 1},
      {"5.2 opcode 3", bytes({0x83, 0x80}), m, Errc::frame_reserved_opcode, 1},
      {"5.2 opcode 15", bytes({0x8F, 0x00}), u, Errc::frame_reserved_opcode, 1},
      {"5.5 ping without FIN", bytes({0x09, 0x80}), m, Errc::control_frame_fragmented, 1},
      {"5.1 from a client without mask", bytes({0x81, 0x00}), m, Errc::frame_unmasked, 2},
      {"5.1 from a server with mask", bytes({0x81, 0x80}), u, Errc::frame_masked, 2},
      {"5.1 comes before 5.5", bytes({0x88, 0x7E}), m, Errc::frame_unmasked, 2},
      {"5.5 ping of 126", bytes({0x89, 0xFE}), m, Errc::control_frame_too_long, 2},
      {"5.5 close of 2^32", bytes({0x88, 0x7F}), u, Errc::control_frame_too_long, 2},
      {"5.2 0 in 16 bits", bytes({0x82, 0x7E, 0, 0}), u, Errc::frame_length_not_minimal, 4},
      {"5.2 125 in 16 bits", bytes({0x82, 0xFE, 0, 125, 1, 2, 3, 4}), m,
       Errc::frame_length_not_minimal, 4},
      {"5.2 0 in 64 bits", bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0}), u,
       Errc::frame_length_not_minimal, 10},
      {"5.2 125 in 64 bits", bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0, 125}), u,
       Errc::frame_length_not_minimal, 10},
      {"5.2 126 in 64 bits", bytes({0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 126, 1, 2, 3, 4}), m,
       Errc::frame_length_not_minimal, 10},
      {"5.2 65535 in 64 bits", bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}), u,
       Errc::frame_length_not_minimal, 10},
      {"5.2 2^63", bytes({0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0}), u, Errc::frame_length_top_bit,
       10},
      {"5.2 2^64-1", bytes({0x82, 0xFF, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4}), m,
       Errc::frame_length_top_bit, 10},
  };
}

TEST(FrameHeader, Rfc6455_5_2_ReportsTheSameFaultForEveryPrefix) {
  for (const Refused& row : refused()) {
    SCOPED_TRACE(row.rfc);
    for (std::size_t size = 0; size <= row.wire.size(); ++size) {
      Header header;
      const Decoded decoded = decode(row.wire.substr(0, size), row.masking, header);
      EXPECT_EQ(decoded.size, 0u) << size;
      // A prefix reports the same fault or none. `known_after` bytes are enough to report it.
      if (size < row.known_after && !decoded.failed()) continue;
      EXPECT_EQ(decoded.error, row.error) << size;
    }
  }
}

struct Accepted {
  const char* rfc;
  std::string wire;
  Masking masking;
  Header header;
};

std::uint32_t key(int a, int b, int c, int d) {
  std::uint32_t result;
  std::memcpy(&result, bytes({a, b, c, d}).data(), sizeof result);
  return result;
}

std::vector<Accepted> accepted() {
  using enum Opcode;
  const auto m = masked;
  const auto u = unmasked;
  return {
      // The examples of §5.7.
      {"5.7 unmasked Hello", bytes({0x81, 0x05}), u, {5, 0, text, true}},
      {"5.7 masked Hello",
       bytes({0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D}),
       m,
       {5, key(0x37, 0xFA, 0x21, 0x3D), text, true}},
      {"5.7 fragment Hel", bytes({0x01, 0x03}), u, {3, 0, text, false}},
      {"5.7 fragment lo", bytes({0x80, 0x02}), u, {2, 0, continuation, true}},
      {"5.7 unmasked ping", bytes({0x89, 0x05}), u, {5, 0, ping, true}},
      {"5.7 256 bytes", bytes({0x82, 0x7E, 0x01, 0x00}), u, {256, 0, binary, true}},
      {"5.7 64 KiB", bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}), u, {65536, 0, binary, true}},
      // Boundaries.
      {"5.2 0", bytes({0x80, 0x80, 0, 0, 0, 0}), m, {0, 0, continuation, true}},
      {"5.5 close 125", bytes({0x88, 0x7D}), u, {125, 0, close, true}},
      {"5.5 pong 125", bytes({0x8A, 0xFD, 1, 2, 3, 4}), m, {125, key(1, 2, 3, 4), pong, true}},
      {"5.2 126", bytes({0x02, 0x7E, 0, 126}), u, {126, 0, binary, false}},
      {"5.2 65535",
       bytes({0x02, 0xFE, 255, 255, 9, 8, 7, 6}),
       m,
       {65535, key(9, 8, 7, 6), binary, false}},
      {"5.2 2^31",
       bytes({0x82, 0x7F, 0, 0, 0, 0, 0x80, 0, 0, 0}),
       u,
       {std::uint64_t{1} << 31, 0, binary, true}},
      {"5.2 2^32",
       bytes({0x82, 0x7F, 0, 0, 0, 1, 0, 0, 0, 0}),
       u,
       {std::uint64_t{1} << 32, 0, binary, true}},
      {"5.2 2^63-1",
       bytes({0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 1, 1, 1}),
       m,
       {~std::uint64_t{0} >> 1, key(1, 1, 1, 1), binary, true}},
  };
}

TEST(FrameHeader, Rfc6455_5_2_EveryPrefixNeedsMoreBytes) {
  for (const Accepted& row : accepted()) {
    SCOPED_TRACE(row.rfc);
    for (std::size_t size = 0; size < row.wire.size(); ++size) {
      Header header;
      const Decoded decoded = decode(row.wire.substr(0, size), row.masking, header);
      EXPECT_EQ(decoded.size, 0u) << size;
      EXPECT_FALSE(decoded.failed()) << size;
    }
    for (const char* behind : {"", "\x81", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"}) {
      Header header;
      const Decoded decoded = decode(row.wire + behind, row.masking, header);
      EXPECT_FALSE(decoded.failed());
      EXPECT_EQ(decoded.size, row.wire.size());
      if (row.masking == unmasked) header.key = 0;
      EXPECT_TRUE(header == row.header);
    }
  }
}

TEST(FrameHeader, Rfc6455_5_2_EncodesTheShortestForm) {
  for (const Accepted& row : accepted()) {
    SCOPED_TRACE(row.rfc);
    std::array<std::byte, max_header_bytes> out{};
    const std::size_t size = encode_header(out.data(), row.header, row.masking);
    ASSERT_EQ(std::string(reinterpret_cast<const char*>(out.data()), size), row.wire);
  }
}

TEST(FrameHeader, Rfc6455_5_2_DecodingRestoresWhatIsEncoded) {
  const std::uint64_t two_32 = std::uint64_t{1} << 32;
  std::vector<std::uint64_t> lengths;
  for (const std::uint64_t edge :
       {std::uint64_t{0}, std::uint64_t{125}, std::uint64_t{126}, std::uint64_t{255},
        std::uint64_t{65535}, std::uint64_t{65536}, two_32 / 2, two_32, ~std::uint64_t{0} >> 1}) {
    for (const std::uint64_t length : {edge - 1, edge, edge + 1}) {
      if (length >> 63 == 0) lengths.push_back(length);
    }
  }
  std::mt19937_64 random(1);
  for (int shift = 1; shift < 64; ++shift) lengths.push_back(random() >> shift);

  using enum Opcode;
  for (const std::uint64_t length : lengths) {
    for (const Opcode opcode : {continuation, text, binary, close, ping, pong}) {
      for (const bool fin : {false, true}) {
        if (is_control(opcode) && (!fin || length > max_control_payload)) continue;
        for (const Masking masking : {masked, unmasked}) {
          const auto random_key = static_cast<std::uint32_t>(random());
          const Header header{length, masking == masked ? random_key : 0, opcode, fin};
          std::array<std::byte, max_header_bytes> out{};
          const std::size_t size = encode_header(out.data(), header, masking);
          ASSERT_EQ(size, header_size(length, masking)) << length;
          Header decoded;
          const Decoded found = decode_header(std::span(out).first(size), masking, decoded);
          ASSERT_FALSE(found.failed()) << length;
          ASSERT_EQ(found.size, size) << length;
          ASSERT_TRUE(decoded == header) << length;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tern::frame
