#pragma once

#include "net/fd.h"

#include <system_error>

namespace tern::net {

/// Two connected sockets without a name, in this process.
struct SocketPair {
  Fd first{};
  Fd second{};
  std::error_code error{};
};

/// Opens a pair of Unix sockets, non-blocking and close-on-exec. Errors: those of socketpair().
SocketPair open_socket_pair() noexcept;

}  // namespace tern::net
