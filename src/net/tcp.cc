// Implements plain TCP. A single piece, the usual case of an echo, uses recv and send, because
// these calls copy no message header into the kernel.
#include "net/tcp.h"

#include "net/socket.h"

#include <algorithm>
#include <cerrno>
#include <limits.h>
#include <sys/socket.h>

namespace tern::net {

namespace {

template <class Call>
ssize_t retry_interrupted(Call call) noexcept {
  ssize_t result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

Transport::Transfer failure(Transport::State when_blocked) noexcept {
  if (errno == EAGAIN) return {.state = when_blocked};
  return {.error = socket_error(errno), .state = Transport::State::failed};
}

}  // namespace

[[gnu::hot]] Transport::Transfer TcpTransport::read(std::span<const iovec> into) noexcept {
  const ssize_t got = retry_interrupted([&] {
    if (into.size() == 1) return ::recv(fd(), into[0].iov_base, into[0].iov_len, 0);
    return ::readv(fd(), into.data(),
                   static_cast<int>(std::min<std::size_t>(into.size(), IOV_MAX)));
  });
  if (got > 0) return {.bytes = static_cast<std::size_t>(got)};
  if (got == 0) return {.state = State::end};
  return failure(State::wait_read);
}

[[gnu::hot]] Transport::Transfer TcpTransport::write(std::span<const iovec> from) noexcept {
  const ssize_t put = retry_interrupted([&] {
    if (from.size() == 1) return ::send(fd(), from[0].iov_base, from[0].iov_len, MSG_NOSIGNAL);
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(from.data());  // sendmsg does not write there
    message.msg_iovlen = std::min<std::size_t>(from.size(), IOV_MAX);
    return ::sendmsg(fd(), &message, MSG_NOSIGNAL);
  });
  if (put < 0) return failure(State::wait_write);
  written_ += static_cast<std::uint32_t>(put);
  return {.bytes = static_cast<std::size_t>(put)};
}

PeerProgress TcpTransport::delivery() const noexcept {
  const std::uint32_t waiting = unacknowledged_bytes(fd());
  return {.acknowledged = written_ - waiting, .waiting = waiting};
}

void TcpTransport::shutdown_write() noexcept { net::shutdown_write(fd()); }

}  // namespace tern::net
