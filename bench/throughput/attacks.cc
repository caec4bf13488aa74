// Builds the bytes of each attack. All of them are legal, so a server cannot refuse them.
#include "throughput/attacks.h"

#include "throughput/frames.h"
#include "throughput/packing.h"

#include <array>
#include <span>
#include <string>

namespace tern::bench {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t block_bytes = std::size_t{64} << 10;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

constexpr std::array table{
    Attack{"none", AttackKind::none, 0},
    Attack{"pages, 4 do not read", AttackKind::pages, 4},
    Attack{"inflates to 1 MiB, 1", AttackKind::bombs, 1},
    Attack{"inflates to 1 MiB, 16", AttackKind::bombs, 16},
    Attack{"inflates to 1 MiB, 64", AttackKind::bombs, 64},
    Attack{"inflates to nothing, 16", AttackKind::empty_blocks, 16},
    Attack{"empty frames, 16", AttackKind::empty_frames, 16},
    Attack{"messages of 1 B, 16", AttackKind::tiny_messages, 16},
    Attack{"messages of 1 MiB, 16", AttackKind::large_messages, 16},
    Attack{"TLS records of 1 B, 16", AttackKind::tiny_records, 16},
    Attack{"bodies of 60 KB, 16", AttackKind::bodies, 16},
    Attack{"chunks of 1 B, 16", AttackKind::tiny_chunks, 16},
    Attack{"files of 64 KiB, 16", AttackKind::files, 16},
    Attack{"large files, 64 unread", AttackKind::unread_files, 64},
    Attack{"streams of 1 B, 16", AttackKind::streams, 16},
};

void append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

Bytes frame_of(std::string_view payload, bool compressed = false) {
  return make_frame(frame::Opcode::binary, payload, frame::Masking::masked, compressed);
}

// Empty blocks of deflate, each 00 00 00 FF FF. The last four bytes are left out (RFC 7692 §7.2.1).
Bytes empty_blocks() {
  std::string blocks;
  while (blocks.size() < block_bytes) blocks.append("\0\0\0\xFF\xFF", 5);
  blocks.push_back('\0');
  return frame_of(blocks, true);
}

// make_frame() sets FIN, the first bit of a frame (RFC 6455 §5.2), so it is cleared here.
Bytes empty_frames() {
  constexpr std::size_t fragments = 4'000;
  constexpr std::byte fin{0x80};
  Bytes all;
  for (std::size_t i = 1; i <= fragments; ++i) {
    const auto opcode = i == 1 ? frame::Opcode::binary : frame::Opcode::continuation;
    Bytes frame = make_frame(opcode, {}, frame::Masking::masked);
    if (i < fragments) frame[0] &= ~fin;
    append(all, frame);
  }
  return all;
}

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes get(std::string_view path) {
  return bytes_of("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

Bytes post(std::string_view field, std::string_view body) {
  return bytes_of("POST /body HTTP/1.1\r\nHost: localhost\r\n" + std::string(field) + "\r\n\r\n" +
                  std::string(body));
}

Bytes body_in_chunks() {
  constexpr std::size_t chunks = 4'000;
  std::string body;
  for (std::size_t i = 0; i < chunks; ++i) body += "1\r\nx\r\n";
  return post("Transfer-Encoding: chunked", body + "0\r\n\r\n");
}

Bytes unit_of(AttackKind kind) {
  switch (kind) {
    case AttackKind::none:
      return {};
    case AttackKind::pages:
      return get("/");
    case AttackKind::bodies: {
      constexpr std::size_t size = 60'000;
      return post("Content-Length: " + std::to_string(size), std::string(size, 'x'));
    }
    case AttackKind::tiny_chunks:
      return body_in_chunks();
    case AttackKind::files:
      return get("/files/64k");
    case AttackKind::unread_files:
      return get("/files/large");
    case AttackKind::streams:
      return get("/stream");
    case AttackKind::bombs:
      return frame_of(pack(std::string(mebibyte, '\0')), true);
    case AttackKind::empty_blocks:
      return empty_blocks();
    case AttackKind::empty_frames:
      return empty_frames();
    case AttackKind::tiny_messages:
    case AttackKind::tiny_records:
      return frame_of("x");
    case AttackKind::large_messages:
      return frame_of(make_payload(PayloadKind::binary, mebibyte));
  }
  return {};
}

}  // namespace

std::span<const Attack> attacks() noexcept { return table; }

Needs needs_of(AttackKind kind) noexcept {
  switch (kind) {
    case AttackKind::pages:
      return Needs::pages;
    case AttackKind::bombs:
    case AttackKind::empty_blocks:
      return Needs::deflate;
    case AttackKind::tiny_records:
      return Needs::tls;
    case AttackKind::bodies:
    case AttackKind::tiny_chunks:
    case AttackKind::files:
    case AttackKind::unread_files:
    case AttackKind::streams:
      return Needs::files;
    default:
      return Needs::nothing;
  }
}

bool is_http(AttackKind kind) noexcept {
  return needs_of(kind) == Needs::pages || needs_of(kind) == Needs::files;
}

bool reads_nothing(AttackKind kind) noexcept {
  return kind == AttackKind::pages || kind == AttackKind::unread_files;
}

std::vector<std::byte> attack_bytes(AttackKind kind) {
  const Bytes unit = unit_of(kind);
  Bytes all = unit;
  while (!unit.empty() && all.size() < block_bytes) append(all, unit);
  return all;
}

}  // namespace tern::bench
