// Opens, accepts and connects sockets. Three rules are only here:
//
// - A port in use is an error. If the first listener set SO_REUSEPORT before bind(), another
//   process of the same user could already hold the port, and the kernel would give connections
//   to both at random. So the first listener binds without SO_REUSEPORT and sets it afterwards.
//   That is early enough, because the kernel checks the flag of the first socket when a worker
//   binds to the port.
// - SO_REUSEADDR is set, because otherwise connections in TIME_WAIT would keep the port from a
//   restarted server. On Linux this flag never lets two listeners share a port.
// - accept(2) also reports errors of the network and of connections that failed in the queue.
//   Only a lack of descriptors or memory needs a pause, because the listener then stays readable.
#include "net/socket.h"

#include "tern/error.h"

#include "base/last_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/un.h>

namespace tern::net {

namespace {

using base::last_error;

std::error_code set_option(int fd, int level, int name, int value) noexcept {
  if (::setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
  return last_error();
}

Fd new_socket(const Address& address) noexcept {
  return Fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

std::error_code bind_to(int fd, const Address& address, PortUse use) noexcept {
  if (auto error = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return error;
  if (address.family() == AF_INET6) {
    // The default depends on the system. In tern, "::" always accepts IPv4 too.
    if (auto error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return error;
  }
  if (use == PortUse::join) {
    if (auto error = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return error;
  }
  if (::bind(fd, address.data(), address.size()) != 0) return last_error();
  return use == PortUse::first ? set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) : std::error_code();
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Address name_of(NameCall call, int fd) noexcept {
  sockaddr_storage storage;
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  socklen_t bytes = sizeof storage;
  if (call(fd, name, &bytes) != 0) return {};
  return Address::from(name, bytes).value_or(Address());
}

int get_local_name(int fd, sockaddr* name, socklen_t* bytes) noexcept {
  return ::getsockname(fd, name, bytes);
}

int get_peer_name(int fd, sockaddr* name, socklen_t* bytes) noexcept {
  return ::getpeername(fd, name, bytes);
}

std::string text_of(NameCall call, int fd) {
  sockaddr_un name{};
  socklen_t bytes = sizeof name;
  const bool is_path =
      call(fd, reinterpret_cast<sockaddr*>(&name), &bytes) == 0 && name.sun_family == AF_UNIX;
  if (!is_path) return name_of(call, fd).to_string();
  constexpr std::size_t start = offsetof(sockaddr_un, sun_path);
  std::string path(name.sun_path,
                   bytes > start ? std::min<std::size_t>(bytes - start, sizeof name.sun_path) : 0);
  const bool is_abstract = !path.empty() && path.front() == '\0';
  if (is_abstract) return "unix:@" + path.substr(1);
  return "unix:" + path.substr(0, path.find('\0'));
}

int option_of(int fd, int name) noexcept {
  int value = -1;
  socklen_t bytes = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
}

}  // namespace

Opened listen_tcp(const Address& address, PortUse use, int backlog) noexcept {
  Fd socket = new_socket(address);
  if (!socket) return {Fd(), last_error()};
  if (auto error = bind_to(socket.get(), address, use)) return {Fd(), error};
  if (::listen(socket.get(), backlog) != 0) return {Fd(), last_error()};
  return {std::move(socket), {}};
}

Opened duplicate(int fd) noexcept {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return {Fd(), last_error()};
  return {std::move(copy), {}};
}

// O_NONBLOCK belongs to the socket, so programs that share it see the change. It must be set,
// because another program may take the connection that epoll has just reported here.
Opened duplicate_listener(int fd) noexcept {
  Opened copy = duplicate(fd);
  if (!copy) return copy;
  const int domain = option_of(fd, SO_DOMAIN);
  const bool known = domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX;
  if (!known || option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1) {
    return {Fd(), std::make_error_code(std::errc::invalid_argument)};
  }
  if (auto error = set_nonblocking(copy.fd.get())) return {Fd(), error};
  return copy;
}

bool is_unix(int fd) noexcept { return option_of(fd, SO_DOMAIN) == AF_UNIX; }

Opened accept(int listener, Address* peer) noexcept {
  sockaddr_storage storage;
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  socklen_t bytes = sizeof storage;
  int fd;
  do {
    fd = ::accept4(listener, peer == nullptr ? nullptr : name, peer == nullptr ? nullptr : &bytes,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return {Fd(), last_error()};
  if (peer != nullptr) *peer = Address::from(name, bytes).value_or(Address());
  return {Fd(fd), {}};
}

AcceptFailure classify_accept_error(std::error_code error) noexcept {
  switch (error.value()) {
    case EAGAIN:
      return AcceptFailure::drained;
    case EBADF:
    case EINVAL:
      return AcceptFailure::fatal;
    // Errors of one connection or of the network, which Linux reports through accept (accept(2),
    // "Error handling").
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ETIMEDOUT:
      return AcceptFailure::retry;
    // EMFILE, ENFILE, ENOBUFS, ENOMEM, and unknown errors: a retry at once could spin.
    default:
      return AcceptFailure::pause;
  }
}

Opened start_connect(const Address& address, const std::optional<Address>& from) noexcept {
  Fd socket = new_socket(address);
  if (!socket) return {Fd(), last_error()};
  if (from) {
    // The port is chosen by connect(), so that one port may serve connections to several peers.
    if (from->port() == 0) set_option(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (::bind(socket.get(), from->data(), from->size()) != 0) return {Fd(), last_error()};
  }
  // After EINTR the attempt continues in the kernel; a second connect() would only return EALREADY.
  if (::connect(socket.get(), address.data(), address.size()) != 0 && errno != EINPROGRESS &&
      errno != EINTR) {
    return {Fd(), last_error()};
  }
  return {std::move(socket), {}};
}

std::error_code connect_result(int fd) noexcept {
  int pending = 0;
  socklen_t bytes = sizeof pending;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &bytes) != 0) return last_error();
  if (pending == 0) return {};
  return {pending, std::system_category()};
}

std::error_code set_nonblocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return last_error();
  return {};
}

std::error_code set_nodelay(int fd) noexcept { return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void set_unsent_limit(int fd, std::size_t bytes) noexcept {
  constexpr std::size_t most = std::size_t{1} << 30;
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(std::min(bytes, most)));
}

Address local_address(int fd) noexcept { return name_of(get_local_name, fd); }

Address peer_address(int fd) noexcept { return name_of(get_peer_name, fd); }

std::string local_name(int fd) { return text_of(get_local_name, fd); }

std::string peer_name(int fd) { return text_of(get_peer_name, fd); }

std::uint32_t unacknowledged_bytes(int fd) noexcept {
  int bytes = 0;
  if (::ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::uint32_t>(bytes);
}

bool has_input(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, SIOCINQ, &bytes) == 0 && bytes > 0;
}

bool drop_input(int fd) noexcept {
  std::array<std::byte, 4096> dropped;
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = ::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  return true;
}

void shutdown_write(int fd) noexcept { ::shutdown(fd, SHUT_WR); }

void reset_on_close(int fd) noexcept {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void reset_close(Fd socket) noexcept { reset_on_close(socket.get()); }

std::size_t send_once(int fd, std::span<const std::byte> bytes) noexcept {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

std::error_code socket_error(int error_number) noexcept {
  if (error_number == ECONNRESET || error_number == EPIPE) return Errc::connection_reset;
  return {error_number, std::system_category()};
}

}  // namespace tern::net
