#pragma once

#include "tern/delivery.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <sys/uio.h>
#include <system_error>

namespace tern::net {

/// A byte stream that never blocks: plain TCP, or TLS over it. Who drives it needs to know only
/// which readiness to wait for.
class Transport {
 public:
  enum class State : std::uint8_t {
    ok,         ///< `bytes` > 0 were moved; perhaps more can be
    wait_read,  ///< nothing moved until the descriptor is readable (a TLS write may need that, too)
    wait_write,  ///< nothing moved until the descriptor is writable
    end,         ///< read only: the peer ended its direction in the agreed way
    failed,      ///< `error` says why; nothing more will come
  };
  struct Transfer {
    std::size_t bytes = 0;
    std::error_code error{};
    State state = State::ok;
    /// Read only, with `ok` or `wait_read`: read again before waiting for the descriptor, which is
    /// silent about what is left. One call deciphers a bounded number of records.
    bool more = false;
  };

  Transport() noexcept = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  /// Reads what is there into `into`, which must have room for at least one byte.
  virtual Transfer read(std::span<const iovec> into) noexcept = 0;
  /// Writes what fits of `from`, which must hold at least one byte; may stop short. A piece of
  /// which a part was written comes first in the next call.
  virtual Transfer write(std::span<const iovec> from) noexcept = 0;
  /// What to watch; owned by the transport.
  virtual int fd() const noexcept = 0;
  /// Ends our direction (FIN; for TLS, close_notify before it); reading goes on.
  virtual void shutdown_write() noexcept = 0;

  /// Whether it keeps bytes that the system has not taken yet (TLS: whole records). Then wait until
  /// the descriptor is writable, and flush().
  virtual bool has_unsent() const noexcept { return false; }
  /// What the peer has acknowledged of what was written, in bytes on the wire: a call of the
  /// system, for deadlines only. Zeros from a transport that does not know.
  virtual Delivery delivery() const noexcept { return {}; }
  /// Sends what has_unsent() means. State: ok (all of it went), wait_write or failed.
  virtual Transfer flush() noexcept { return {}; }
  /// What the error of the last failure does not say, for people; mostly empty. Throws
  /// std::bad_alloc.
  virtual std::string explanation() const { return {}; }
  /// The subject of the peer's verified certificate (RFC 4514), empty without one. Throws
  /// std::bad_alloc.
  virtual std::string peer_subject() const { return {}; }
};

}  // namespace tern::net
