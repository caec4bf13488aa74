// The sockets on which a server listens.
#pragma once

#include "tern/error.h"
#include "tern/listener.h"
#include "tern/server.h"

#include "net/fd.h"
#include "net/unix_socket.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tern::server {

/// The facts about a place that a worker needs to accept there.
struct PlaceKind {
  bool secure = false;       ///< TLS
  bool is_unix = false;      ///< the peers have no addresses
  bool handed_over = false;  ///< another program opened the socket, and may accept from it as well
};

/// One address, Unix socket or inherited socket, opened.
struct Place {
  PlaceKind kind{};
  std::string name{};              ///< "127.0.0.1:9001", "unix:/run/app.sock"
  std::uint16_t port = 0;          ///< 0 for a Unix socket
  net::SocketFile file{};          ///< of a Unix socket; destroyed after the sockets
  std::vector<net::Fd> sockets{};  ///< one for each worker
};

/// Returns the listeners that the options ask for: `listeners`, or `host` and `port` if there are
/// none. Throws std::bad_alloc.
std::vector<tern::Listener> listeners_of(const ServerOptions& options);

/// Opens all places or none, each with `workers` sockets. Waits for the
/// resolver if a host is a name. Errors: those of the system, which name the place. Throws
/// std::bad_alloc.
Result<std::vector<Place>> open_places(const ServerOptions& options, std::size_t workers);

/// Returns the path of a Unix socket in `host`, without "unix:". It is empty for any other host.
std::string_view unix_path(std::string_view host) noexcept;

}  // namespace tern::server
