#pragma once

#include "tern/peer_progress.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <sys/uio.h>
#include <system_error>

namespace tern::net {

struct ProxiedClient;

/// A part of the bytes of a write() that a file has as well.
struct FilePart {
  int descriptor = -1;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::size_t before = 0;  ///< bytes in front of it; whole pieces
};

/// A byte stream that never blocks: plain TCP, or TLS over it. Its caller needs to know only which
/// event of the descriptor to wait for.
class Transport {
 public:
  enum class State : std::uint8_t {
    ok,          ///< `bytes` > 0 were moved, and more may be possible
    wait_read,   ///< nothing moves until the descriptor is readable (also for some writes of TLS)
    wait_write,  ///< nothing moves until the descriptor is writable
    end,         ///< only for read(): the peer ended its direction properly
    failed,      ///< `error` holds the reason; no more bytes follow
  };
  struct Transfer {
    std::size_t bytes = 0;
    std::error_code error{};
    State state = State::ok;
    /// Only for read(), with `ok` or `wait_read`: read again before you wait for the descriptor.
    /// The descriptor does not report the rest, because one call deciphers a bounded number of
    /// records.
    bool more = false;
  };

  Transport() noexcept = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  /// Reads the bytes that have arrived into `into`, which must have room for at least one byte.
  virtual Transfer read(std::span<const iovec> into) noexcept = 0;
  /// Writes as much of `from` as possible; `from` must hold at least one byte. If a part of a piece
  /// was written, the rest of this piece must be first in the next call.
  virtual Transfer write(std::span<const iovec> from) noexcept = 0;
  /// Writes like write(). A transport that can send the bytes of a file without a copy may do so
  /// for this part, and then writes nothing behind it.
  virtual Transfer write_with_file(std::span<const iovec> from, const FilePart&) noexcept {
    return write(from);
  }
  /// Returns the descriptor to watch. The transport owns it.
  virtual int fd() const noexcept = 0;
  /// Ends our direction: sends a FIN, and with TLS a close_notify before it. Reads still work.
  virtual void shutdown_write() noexcept = 0;

  /// Returns whether the transport keeps bytes that the system has not taken yet (records of TLS).
  /// Then wait until the descriptor is writable, and call flush().
  virtual bool has_unsent() const noexcept { return false; }
  /// Returns how many written bytes the peer has acknowledged, in bytes on the wire. It makes a
  /// system call, so use it only for deadlines. Returns zeros if the transport does not know.
  virtual PeerProgress delivery() const noexcept { return {}; }
  /// Sends the bytes that has_unsent() reports. State: ok (all are sent), wait_write or failed.
  virtual Transfer flush() noexcept { return {}; }
  /// Returns whether its own handshake is done (TLS), also if it failed later.
  virtual bool is_ready() const noexcept { return true; }
  /// Returns when its own handshake succeeded; nothing if it has none, or did not come so far.
  virtual std::optional<std::chrono::steady_clock::time_point> ready_since() const noexcept {
    return {};
  }
  /// Returns more about the last failure, as a text for people; usually empty. Throws
  /// std::bad_alloc.
  virtual std::string explanation() const { return {}; }
  /// Returns the subject of the peer's verified certificate (RFC 4514); empty if there is none.
  /// Throws std::bad_alloc.
  virtual std::string peer_subject() const { return {}; }
  /// Returns what a PROXY header in front of the connection told; null if there is none, or not
  /// yet.
  virtual const ProxiedClient* proxied() const noexcept { return nullptr; }
};

}  // namespace tern::net
