#pragma once

#include "net/address.h"
#include "net/fd.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

// Every socket incantation, in tiny functions. All sockets made here are non-blocking and
// close-on-exec, and nothing here can raise SIGPIPE. EINTR never comes out.

namespace tern::net {

/// A new descriptor, or why there is none.
struct Opened {
  Fd fd{};
  std::error_code error{};
  explicit operator bool() const noexcept { return !error; }
};

/// How a listener comes by its port.
enum class PortUse : std::uint8_t {
  first,  ///< alone: a port that anybody listens on is an error; joiners may follow
  join,   ///< beside the listeners that already share the port (SO_REUSEPORT; same user)
};

/// Listens on `address` (port 0: the kernel chooses; see local_address). "::" serves IPv4 as well.
Opened listen_tcp(const Address& address, PortUse use, int backlog = SOMAXCONN) noexcept;

/// Takes the next connection; `peer`, if given, gets its address. The error goes to
/// classify_accept_error.
Opened accept(int listener, Address* peer = nullptr) noexcept;

/// What to do after accept failed.
enum class AcceptFailure : std::uint8_t {
  drained,  ///< nobody waits
  retry,    ///< that one connection is lost; take the next
  pause,  ///< descriptors or memory are short: the listener stays readable, so leave it alone for a
          ///< while
  fatal,  ///< this is no listener (any more)
};
AcceptFailure classify_accept_error(std::error_code error) noexcept;

/// Starts to connect. Without an error: once the socket is writable, connect_result tells.
Opened start_connect(const Address& address) noexcept;
/// How connecting went.
std::error_code connect_result(int fd) noexcept;

/// Small frames leave at once (TCP_NODELAY).
std::error_code set_nodelay(int fd) noexcept;
/// The address a socket is bound to; 0.0.0.0:0 when unknown.
Address local_address(int fd) noexcept;
/// The address of the peer; 0.0.0.0:0 when it is gone.
Address peer_address(int fd) noexcept;
/// Bytes that were written and that the peer's system has not acknowledged; a FIN counts as one. 0
/// when the system does not say.
std::uint32_t unacknowledged_bytes(int fd) noexcept;
/// Whether there is something to read without waiting.
bool has_input(int fd) noexcept;
/// Sends FIN; reading goes on.
void shutdown_write(int fd) noexcept;
/// Makes the coming close() send RST and drop what is not sent.
void reset_on_close(int fd) noexcept;
/// Sends RST and closes.
void reset_close(Fd socket) noexcept;
/// Tries once, without waiting, to send; returns how many bytes went.
std::size_t send_once(int fd, std::span<const std::byte> bytes) noexcept;

/// The error_code for errno after a call on a socket: a reset and a broken pipe are one cause,
/// Errc::connection_reset, since which of the two comes depends only on who calls first.
std::error_code socket_error(int error_number) noexcept;

}  // namespace tern::net
