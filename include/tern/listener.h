// The places where a server accepts connections: addresses, Unix sockets, and listening sockets
// that another program opened.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tern {

/// One place where a server accepts connections, see ServerOptions::listeners.
struct Listener {
  /// One of
  ///  - a numeric address of this machine; "::" serves IPv4 too;
  ///  - "localhost", which is 127.0.0.1, or another name of this machine: all addresses of the
  ///    name that this machine has, with one port;
  ///  - "unix:" and a path of at most 107 bytes, e.g. "unix:/run/app.sock". A file that a killed
  ///    program left there is replaced, unless a program accepts there. When run() returns, the
  ///    file is removed, if it is still the same one;
  ///  - "unix:@" and an abstract name, which has no file. Linux.
  std::string host = "0.0.0.0";
  std::uint16_t port = 0;  ///< 0: the system chooses one; no effect on a Unix socket
  /// Not negative: a listening stream socket that the program has, instead of `host` and `port`.
  /// Programs may share it. The server uses a duplicate, makes the socket non-blocking, and does
  /// not close the descriptor. So connections that arrive when no server accepts wait in its queue.
  int descriptor = -1;
  bool tls = true;     ///< with ServerOptions::tls; false: plain HTTP and WebSocket here
  std::string name{};  ///< for the program: of an inherited socket, as the unit file names it
};

/// Returns the listening sockets that systemd passed to this process (sd_listen_fds(3): LISTEN_PID,
/// LISTEN_FDS, LISTEN_FDNAMES), in the order of the unit file. Empty if there are none, or if they
/// are for another process. They close on exec afterwards. The environment stays as it is.
/// Thread: any, while no thread changes the environment. Throws std::bad_alloc.
std::vector<Listener> inherited_listeners();

}  // namespace tern
