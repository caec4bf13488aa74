// Traffic that the protocol allows and that costs a server more than its sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tern::bench {

/// The traffic of an attack.
enum class AttackKind : std::uint8_t {
  none,
  pages,           ///< pipelined GETs of a page; the answers are not read
  bombs,           ///< frames of 1 033 bytes that inflate to 1 MiB
  empty_blocks,    ///< compressed messages of 64 KiB that inflate to nothing
  empty_frames,    ///< messages of 4 000 fragments without a byte
  tiny_messages,   ///< messages of one byte; one read of the server holds many
  large_messages,  ///< messages of 1 MiB
  tiny_records,    ///< over TLS: messages of one byte; each byte of a frame is a record of its own
  bodies,          ///< pipelined POSTs with bodies of 60 000 bytes
  tiny_chunks,     ///< pipelined POSTs with bodies of 4 000 chunks of one byte
  files,           ///< pipelined GETs of a file of 64 KiB; the answers are read
  unread_files,    ///< GETs of a large file; the answers are not read
  streams,         ///< GETs of an endless body in pieces of one byte; the answers are read
};

/// The feature that a server needs for an attack.
enum class Needs : std::uint8_t {
  nothing,
  pages,
  deflate,
  tls,
  files,  ///< also bodies and streams: the server is tern_pages
};

struct Attack {
  std::string_view name;
  AttackKind kind;
  std::size_t senders;  ///< connections that send as fast as the server reads
};

/// All attacks, in the order of the printed rows. The first is "none".
std::span<const Attack> attacks() noexcept;

Needs needs_of(AttackKind kind) noexcept;

/// Returns whether the attack sends requests and no frames.
bool is_http(AttackKind kind) noexcept;
/// Returns whether its connections read nothing.
bool reads_nothing(AttackKind kind) noexcept;

/// The bytes that a connection sends over and over: HTTP or masked frames.
/// They are whole messages, and at least 64 KiB of them.
std::vector<std::byte> attack_bytes(AttackKind kind);

}  // namespace tern::bench
