// Implements plain TCP. A single piece, the usual case of an echo, uses recv and send, because
// these calls copy no message header into the kernel.
#include "net/tcp.h"

#include "net/socket.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <limits.h>
#include <sys/sendfile.h>
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

// sendfile() knows no MSG_NOSIGNAL. A signal that it raised is taken back, as long as this object
// exists.
class BlockedSigpipe {
 public:
  BlockedSigpipe() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    errno = 0;
  }
  BlockedSigpipe(const BlockedSigpipe&) = delete;
  BlockedSigpipe& operator=(const BlockedSigpipe&) = delete;
  ~BlockedSigpipe() {
    const int saved = errno;
    if (saved == EPIPE) {
      constexpr timespec at_once{0, 0};
      ::sigtimedwait(&sigpipe_, nullptr, &at_once);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
};

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

inline Transport::Transfer TcpTransport::put(std::span<const iovec> from, int flags) noexcept {
  const ssize_t put = retry_interrupted([&] {
    if (from.size() == 1)
      return ::send(fd(), from[0].iov_base, from[0].iov_len, flags | MSG_NOSIGNAL);
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(from.data());  // sendmsg does not write there
    message.msg_iovlen = std::min<std::size_t>(from.size(), IOV_MAX);
    return ::sendmsg(fd(), &message, flags | MSG_NOSIGNAL);
  });
  if (put < 0) return failure(State::wait_write);
  written_ += static_cast<std::uint32_t>(put);
  return {.bytes = static_cast<std::size_t>(put)};
}

[[gnu::hot]] Transport::Transfer TcpTransport::write(std::span<const iovec> from) noexcept {
  return put(from, 0);
}

// The bytes in front of the file wait in the kernel for those of the file (MSG_MORE), so that both
// are one packet. What fails after them is found by the next call.
Transport::Transfer TcpTransport::write_with_file(std::span<const iovec> from,
                                                  const FilePart& file) noexcept {
  std::size_t count = 0;
  std::size_t before = 0;
  while (before < file.before && count < from.size()) before += from[count++].iov_len;
  if (before != file.before || count == from.size()) return write(from);
  Transfer done;
  if (count > 0) {
    done = put(from.first(count), MSG_MORE);
    if (done.state != State::ok || done.bytes < before) return done;
  }
  const BlockedSigpipe blocked;
  auto offset = static_cast<off_t>(file.offset);
  const ssize_t sent =
      retry_interrupted([&] { return ::sendfile(fd(), file.descriptor, &offset, file.bytes); });
  if (sent > 0) {
    written_ += static_cast<std::uint32_t>(sent);
    return {.bytes = before + static_cast<std::size_t>(sent)};
  }
  if (before > 0) return done;
  if (sent < 0 && errno == EAGAIN) return {.state = State::wait_write};
  return write(from);  // it succeeds if only the file is the problem
}

PeerProgress TcpTransport::delivery() const noexcept {
  const std::uint32_t waiting = unacknowledged_bytes(fd());
  return {.acknowledged = written_ - waiting, .waiting = waiting};
}

void TcpTransport::shutdown_write() noexcept { net::shutdown_write(fd()); }

}  // namespace tern::net
