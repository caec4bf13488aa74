#pragma once

#include "net/address.h"

#include <optional>

namespace tern::net {

/// The other end of a connected socket.
struct Peer {
  std::optional<Address> address{};  ///< absent for a Unix socket, or if the connection has ended
  bool is_unix = false;
};

/// Returns the peer of a socket. It makes one system call.
Peer peer_of(int fd) noexcept;

}  // namespace tern::net
