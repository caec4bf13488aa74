#pragma once

#include "net/address.h"
#include "net/fd.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

// All calls that create and configure sockets, in small functions. The sockets are non-blocking and
// close-on-exec. No function raises SIGPIPE or returns EINTR.

namespace tern::net {

/// A new descriptor, or the reason why there is none.
struct Opened {
  Fd fd{};
  std::error_code error{};
  explicit operator bool() const noexcept { return !error; }
};

/// How a listener gets its port.
enum class PortUse : std::uint8_t {
  first,  ///< an error if any listener has the port; later listeners may join
  join,   ///< shares the port with the listeners that have it (SO_REUSEPORT, same user)
};

/// Listens on `address`. "::" serves IPv4 too. With port 0 the kernel chooses a port, which
/// local_address() returns.
Opened listen_tcp(const Address& address, PortUse use, int backlog = SOMAXCONN) noexcept;

/// Returns a listening socket that another program opened as a socket of our own: a duplicate that
/// never blocks and closes on exec. `fd` stays open. Errors: EINVAL if `fd` is not a listening
/// stream socket of IPv4, IPv6 or Unix; those of fcntl(2).
Opened duplicate_listener(int fd) noexcept;
/// Returns another descriptor of the same socket, which closes on exec.
Opened duplicate(int fd) noexcept;
/// Returns whether it is a Unix socket.
bool is_unix(int fd) noexcept;

/// Accepts the next connection. Stores the address of the peer in `peer` if it is not null. Pass an
/// error to classify_accept_error().
Opened accept(int listener, Address* peer = nullptr) noexcept;

/// The next step after accept() failed.
enum class AcceptFailure : std::uint8_t {
  drained,  ///< no connection waits
  retry,    ///< one connection is lost; accept the next one
  pause,    ///< descriptors or memory are short; the listener stays readable, so wait a while
  fatal,    ///< the descriptor is not a listener (any more)
};
AcceptFailure classify_accept_error(std::error_code error) noexcept;

/// Starts to connect, from our own address `from` if there is one. If it returns no error, wait
/// until the socket is writable and call connect_result().
Opened start_connect(const Address& address, const std::optional<Address>& from = {}) noexcept;
/// Returns the error of connecting; none if it succeeded.
std::error_code connect_result(int fd) noexcept;

/// Makes calls on the descriptor return instead of waiting.
std::error_code set_nonblocking(int fd) noexcept;
/// Makes the system send small frames at once (TCP_NODELAY).
std::error_code set_nodelay(int fd) noexcept;
/// Makes the system keep at most about `bytes` bytes that it has not sent yet (TCP_NOTSENT_LOWAT).
/// Does nothing on a socket that is not TCP.
void set_unsent_limit(int fd, std::size_t bytes) noexcept;
/// Returns the address that a socket is bound to; 0.0.0.0:0 if it is unknown.
Address local_address(int fd) noexcept;
/// Returns the address of the peer; 0.0.0.0:0 if the connection has ended.
Address peer_address(int fd) noexcept;
/// Returns the name of a socket that is bound: "192.0.2.7:9001", or "unix:" and the path of a Unix
/// socket, '@' in front of an abstract one. Throws std::bad_alloc.
std::string local_name(int fd);
/// Returns the name of the peer for people: "192.0.2.7:51234", or "unix:" and the path of a Unix
/// socket, '@' in front of an abstract one. Throws std::bad_alloc.
std::string peer_name(int fd);
/// Returns the number of written bytes that the peer's system has not acknowledged; a FIN counts as
/// one. Returns 0 if the system does not report it.
std::uint32_t unacknowledged_bytes(int fd) noexcept;
/// Returns whether there are bytes to read.
bool has_input(int fd) noexcept;
/// Reads what is there, up to 64 KiB, and drops it. Returns whether the peer may send more: false
/// after its FIN or an error.
bool drop_input(int fd) noexcept;
/// Sends a FIN. The socket can still be read.
void shutdown_write(int fd) noexcept;
/// Makes the next close() send a RST and drop unsent bytes.
void reset_on_close(int fd) noexcept;
/// Sends a RST and closes the socket.
void reset_close(Fd socket) noexcept;
/// Tries once to send, without waiting. Returns the number of bytes that the system took.
std::size_t send_once(int fd, std::span<const std::byte> bytes) noexcept;

/// Returns the error_code for errno after a call on a socket. A reset and a broken pipe both become
/// Errc::connection_reset, because only the order of the calls decides which of the two the system
/// returns.
std::error_code socket_error(int error_number) noexcept;

}  // namespace tern::net
