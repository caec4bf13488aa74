// Checks that each prefix of a frame header decodes as RFC 6455 §5.2 says, and that a decoded
// header encodes to the same bytes. Input: one byte for the direction, then the header.
//
// Subject: src/frame/header.cc
#include "frame/header.h"
#include "support/engine_peer.h"

#include <cstring>
#include <memory>

namespace {

using tern::Errc;
using tern::frame::Decoded;
using tern::frame::Header;
using tern::frame::Masking;
using tern::test::require;

// The result by the table of §5.2, in the simplest code. The size 0 means that more bytes are
// needed.
struct Plain {
  std::size_t size = 0;
  bool faulty = false;
  std::uint64_t length = 0;
};

Plain plain(std::string_view bytes, bool masked) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Plain fault{.faulty = true};
  if (bytes.empty()) return {};
  const unsigned opcode = at(0) & 15;
  if ((at(0) & 0x70) != 0 || (opcode > 2 && opcode < 8) || opcode > 10) return fault;
  if (opcode >= 8 && at(0) < 0x80) return fault;
  if (bytes.size() < 2) return {};
  const unsigned seven = at(1) & 0x7F;
  if ((at(1) >= 0x80) != masked || (opcode >= 8 && seven > 125)) return fault;
  const std::size_t extended = seven == 126 ? 2 : seven == 127 ? 8 : 0;
  if (bytes.size() < 2 + extended) return {};
  std::uint64_t length = extended == 0 ? seven : 0;
  for (std::size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
  if (extended == 2 && length < 126) return fault;
  if (extended == 8 && (length < 65536 || length > ~std::uint64_t{0} / 2)) return fault;
  const std::size_t size = 2 + extended + (masked ? 4 : 0);
  return bytes.size() < size ? Plain{} : Plain{.size = size, .length = length};
}

void check(std::string_view bytes, bool masked) {
  const std::unique_ptr<std::byte[]> block(new std::byte[bytes.size()]);
  if (!bytes.empty()) std::memcpy(block.get(), bytes.data(), bytes.size());
  const Masking masking = masked ? Masking::masked : Masking::unmasked;
  Header header;
  const Decoded decoded = tern::frame::decode_header({block.get(), bytes.size()}, masking, header);
  const Plain expected = plain(bytes, masked);
  require(decoded.failed() == expected.faulty, "decode_header and §5.2 disagree about a fault");
  require(decoded.size == expected.size, "decode_header and §5.2 disagree about the size");
  if (decoded.size == 0) return;
  require(header.length == expected.length, "decode_header and §5.2 disagree about the length");
  std::byte again[tern::frame::max_header_bytes];
  require(encode_header(again, header, masking) == decoded.size, "encoded to another size");
  require(std::memcmp(again, block.get(), decoded.size) == 0, "encoded to other bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1,
                               std::min<std::size_t>(size - 1, 20));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    check(bytes.substr(0, cut), (data[0] & 1) != 0);
  }
  return 0;
}
