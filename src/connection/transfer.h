// How bytes pass between an engine and its transport. These are the rules that every driver shares:
// LiveConnection, which waits with epoll, and client::Session, which waits with poll.
#pragma once

#include "tern/engine.h"

#include "net/transport.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sys/uio.h>
#include <system_error>

namespace tern::connection {

/// Where one read puts its bytes: first in the room that the engine offers inside a large message,
/// then in a buffer of the driver, which is lent to the engine. Either may be empty, but not both.
class ReadSpace {
 public:
  ReadSpace(std::span<std::byte> room, std::span<std::byte> buffer) noexcept
      : room_(room), buffer_(buffer) {}

  /// Reads once.
  net::Transport::Transfer read(net::Transport& transport) const noexcept {
    const std::array<iovec, 2> both{
        {{room_.data(), room_.size()}, {buffer_.data(), buffer_.size()}}};
    const std::size_t first = room_.empty() ? 1 : 0;
    const std::size_t count = room_.empty() || buffer_.empty() ? 1 : 2;
    return transport.read(std::span(both).subspan(first, count));
  }
  /// Gives the engine the bytes that a read has put here. Lifetime: that of Engine::feed().
  void feed(Engine& engine, std::size_t bytes) const noexcept {
    const std::size_t in_room = std::min(bytes, room_.size());
    engine.feed(in_room, buffer_.first(bytes - in_room));
  }
  /// Returns whether another read may find bytes at once. A short read means that the socket is
  /// empty, because the system reports what arrives later.
  bool may_have_more(const net::Transport::Transfer& got) const noexcept {
    return got.more || got.bytes == room_.size() + buffer_.size();
  }

 private:
  std::span<std::byte> room_;
  std::span<std::byte> buffer_;
};

/// The readiness that output waits for. TLS may have to read before it can write.
enum class Blocked : std::uint8_t { no, until_writable, until_readable };

/// The result of write_output().
struct Written {
  std::size_t bytes = 0;  ///< taken from the engine
  bool any = false;       ///< the transport took or sent something
  Blocked blocked = Blocked::no;
  /// The transport failed: nothing can be written any more.
  std::optional<std::error_code> error{};
};

/// A write, and the number of bytes that the transport could have taken.
struct Offer {
  net::Transport::Transfer put{};
  std::size_t bytes = 0;
};

/// Writes once. A part of the output may lie in a file.
[[gnu::noinline]] inline Offer write_pieces(const Engine& engine, net::Transport& transport,
                                            std::span<const iovec> output) noexcept {
  const OutputFile file = engine.output_file();
  if (file.descriptor >= 0) {
    return {transport.write_with_file(output, {.descriptor = file.descriptor,
                                               .offset = file.offset,
                                               .bytes = file.bytes,
                                               .before = file.before}),
            file.before + file.bytes};
  }
  std::size_t offered = 0;
  for (const iovec& piece : output) offered += piece.iov_len;
  return {transport.write(output), offered};
}

/// Writes once what waits: output of the engine, or records that the transport keeps. Its callers
/// initialise an Offer with the result, because to assign it would copy the Transfer.
[[gnu::always_inline]] inline Offer write_once(const Engine& engine, net::Transport& transport,
                                               std::span<const iovec> output) noexcept {
  if (output.size() == 1) [[likely]]
    return {transport.write(output), output[0].iov_len};
  if (output.empty()) return {transport.flush(), 0};
  return write_pieces(engine, transport, output);
}

/// Writes the engine's output until all is written or the transport takes no more. After a short
/// write it does not try again, because that call would only report that the socket is full.
[[gnu::always_inline]] inline Written write_output(Engine& engine,
                                                   net::Transport& transport) noexcept {
  using State = net::Transport::State;
  Written done;
  for (;;) {
    const std::span<const iovec> output = engine.output();
    if (output.empty() && !transport.has_unsent()) return done;
    const Offer offer = write_once(engine, transport, output);
    const net::Transport::Transfer& put = offer.put;
    if (put.state == State::failed) {
      done.error = put.error;
      return done;
    }
    if (put.state != State::ok) {
      done.blocked =
          put.state == State::wait_read ? Blocked::until_readable : Blocked::until_writable;
      return done;
    }
    engine.consume_output(put.bytes);
    done.bytes += put.bytes;
    done.any = true;
    if (put.bytes < offer.bytes || transport.has_unsent()) {
      done.blocked = Blocked::until_writable;
      return done;
    }
    if (engine.queued_bytes() == 0) return done;
  }
}

/// The readiness for which the descriptor of a transport is watched.
struct Readiness {
  bool readable = false;
  bool writable = false;
};

/// Returns what to wait for. `reads`: the driver wants input. `writes`: output of the engine waits
/// for the transport. `unsent`: the transport keeps records (Transport::has_unsent()).
constexpr Readiness readiness_to_await(bool reads, bool writes, bool unsent,
                                       Blocked blocked) noexcept {
  const bool reads_to_write = writes && blocked == Blocked::until_readable;
  const bool waits_to_write = writes && blocked != Blocked::until_readable;
  return {.readable = reads || reads_to_write, .writable = unsent || waits_to_write};
}

}  // namespace tern::connection
