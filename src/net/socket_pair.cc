// Unix sockets deliver at once: bytes that one end wrote can be read from the other end as soon as
// the write has returned. Tests rely on that.
#include "net/socket_pair.h"

#include "base/last_error.h"

#include <array>
#include <sys/socket.h>

namespace tern::net {

SocketPair open_socket_pair() noexcept {
  std::array<int, 2> ends{};
  const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (::socketpair(AF_UNIX, type, 0, ends.data()) != 0) return {.error = base::last_error()};
  return {.first = Fd(ends[0]), .second = Fd(ends[1])};
}

}  // namespace tern::net
