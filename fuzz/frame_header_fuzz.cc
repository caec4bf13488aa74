// A frame header decodes to what RFC 6455 §5.2 says, however much of it is there; what decodes is
// encoded to the same octets again. Input: one octet for the direction, then the header.
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

// The table of §5.2, all at once and in plain words; the size 0 stands for "more".
struct Plain {
  std::size_t size = 0;
  bool faulty = false;
  std::uint64_t length = 0;
};

Plain plain(std::string_view octets, bool masked) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(octets[i]); };
  const Plain fault{.faulty = true};
  if (octets.empty()) return {};
  const unsigned opcode = at(0) & 15;
  if ((at(0) & 0x70) != 0 || (opcode > 2 && opcode < 8) || opcode > 10) return fault;
  if (opcode >= 8 && at(0) < 0x80) return fault;
  if (octets.size() < 2) return {};
  const unsigned seven = at(1) & 0x7F;
  if ((at(1) >= 0x80) != masked || (opcode >= 8 && seven > 125)) return fault;
  const std::size_t extended = seven == 126 ? 2 : seven == 127 ? 8 : 0;
  if (octets.size() < 2 + extended) return {};
  std::uint64_t length = extended == 0 ? seven : 0;
  for (std::size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
  if (extended == 2 && length < 126) return fault;
  if (extended == 8 && (length < 65536 || length > ~std::uint64_t{0} / 2)) return fault;
  const std::size_t size = 2 + extended + (masked ? 4 : 0);
  return octets.size() < size ? Plain{} : Plain{.size = size, .length = length};
}

void check(std::string_view octets, bool masked) {
  const std::unique_ptr<std::byte[]> block(new std::byte[octets.size()]);
  if (!octets.empty()) std::memcpy(block.get(), octets.data(), octets.size());
  const Masking masking = masked ? Masking::masked : Masking::unmasked;
  Header header;
  const Decoded decoded = tern::frame::decode_header({block.get(), octets.size()}, masking, header);
  const Plain expected = plain(octets, masked);
  require(decoded.failed() == expected.faulty, "another verdict than §5.2");
  require(decoded.size == expected.size, "another size than §5.2");
  if (decoded.size == 0) return;
  require(header.length == expected.length, "another length than §5.2");
  std::byte again[tern::frame::max_header_bytes];
  require(encode_header(again, header, masking) == decoded.size, "encoded to another size");
  require(std::memcmp(again, block.get(), decoded.size) == 0, "encoded to other octets");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view octets(reinterpret_cast<const char*>(data) + 1,
                                std::min<std::size_t>(size - 1, 20));
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    check(octets.substr(0, cut), (data[0] & 1) != 0);
  }
  return 0;
}
