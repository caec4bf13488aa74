// Tells peers on the network from peers of Unix sockets, which have no address.
#include "net/peer.h"

namespace tern::net {

Peer peer_of(int fd) noexcept {
  sockaddr_storage storage;
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  socklen_t bytes = sizeof storage;
  if (::getpeername(fd, name, &bytes) != 0) return {};
  if (storage.ss_family == AF_UNIX) return {.is_unix = true};
  return {.address = Address::from(name, bytes)};
}

}  // namespace tern::net
