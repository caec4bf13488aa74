// Traffic that the protocol allows and that costs a server more than its sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tern::bench {

/// What an attack sends.
enum class AttackKind : std::uint8_t {
  none,
  pages,           ///< pipelined GETs of a page; the answers are not read
  bombs,           ///< frames of 1 033 bytes that inflate to 1 MiB
  empty_blocks,    ///< compressed messages of 64 KiB that inflate to nothing
  empty_frames,    ///< messages of 4 000 fragments without a byte
  tiny_messages,   ///< messages of a byte, as many as a read holds
  large_messages,  ///< messages of 1 MiB
  tiny_records,    ///< over TLS: messages of a byte, each of its bytes a record of its own
};

/// What a server must offer for it.
enum class Needs : std::uint8_t { nothing, pages, deflate, tls };

struct Attack {
  std::string_view name;
  AttackKind kind;
  std::size_t senders;  ///< connections that send as fast as the server reads
};

/// All of them, in the order of the table; the first is none.
std::span<const Attack> attacks() noexcept;

Needs needs_of(AttackKind kind) noexcept;

/// What a connection sends over and over; for `pages` HTTP, for all others masked frames. Whole
/// messages, at least 64 KiB unless one sends as much by itself.
std::vector<std::byte> attack_bytes(AttackKind kind);

}  // namespace tern::bench
