// Replaces the system calls of the library (cmake/TernWrap.cmake). Calls on descriptors of the fake
// kernel go to the fake kernel. All other calls go to the system, because libFuzzer uses files of
// its own. Random bytes are the same in every run, so that only the input decides what happens.
#include "support/fake_kernel.h"

#include <cstdarg>
#include <ctime>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

using tern::fuzz::Kernel;

namespace {

// Whether a call that creates a descriptor goes to the fake kernel.
bool faked() { return Kernel::current() != nullptr; }

Kernel& kernel() {
  tern::fuzz::demand(faked(), "a call on a descriptor after its kernel ended");
  return *Kernel::current();
}

}  // namespace

extern "C" {

int __real_close(int fd);
ssize_t __real_read(int fd, void* to, size_t size);
ssize_t __real_write(int fd, const void* from, size_t size);
int __real_socket(int family, int type, int protocol);

int __wrap_socket(int family, int type, int protocol) {
  return faked() ? kernel().socket(family, type) : __real_socket(family, type, protocol);
}
int __wrap_bind(int fd, const sockaddr* name, socklen_t size) {
  return kernel().bind(fd, name, size);
}
int __wrap_listen(int fd, int) { return kernel().listen(fd); }
int __wrap_accept4(int fd, sockaddr* name, socklen_t* size, int flags) {
  return kernel().accept(fd, name, size, flags);
}
int __wrap_connect(int fd, const sockaddr* name, socklen_t size) {
  return kernel().connect(fd, name, size);
}
int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* size) {
  return kernel().get_option(fd, level, option, value, size);
}
int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t) {
  return kernel().set_option(fd, level, option, value);
}
int __wrap_getsockname(int fd, sockaddr* name, socklen_t* size) {
  return kernel().name(fd, false, name, size);
}
int __wrap_getpeername(int fd, sockaddr* name, socklen_t* size) {
  return kernel().name(fd, true, name, size);
}
int __wrap_shutdown(int fd, int) { return kernel().shutdown(fd); }

ssize_t __wrap_recv(int fd, void* to, size_t size, int) {
  const iovec into{to, size};
  return kernel().receive(fd, &into, 1);
}
ssize_t __wrap_readv(int fd, const iovec* into, int count) {
  return kernel().receive(fd, into, static_cast<std::size_t>(count));
}
ssize_t __wrap_send(int fd, const void* bytes, size_t size, int flags) {
  const iovec from{const_cast<void*>(bytes), size};
  return kernel().send(fd, &from, 1, flags);
}
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  return kernel().send(fd, message->msg_iov, message->msg_iovlen, flags);
}
int __wrap_close(int fd) { return Kernel::owns(fd) ? kernel().close(fd) : __real_close(fd); }
ssize_t __wrap_read(int fd, void* to, size_t size) {
  return Kernel::owns(fd) ? kernel().read_event(fd, to, size) : __real_read(fd, to, size);
}
ssize_t __wrap_write(int fd, const void* from, size_t size) {
  return Kernel::owns(fd) ? kernel().write_event(fd, from, size) : __real_write(fd, from, size);
}

int __wrap_epoll_create1(int flags) { return kernel().epoll_create(flags); }
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  return kernel().epoll_ctl(epoll, operation, fd, event);
}
int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  return kernel().epoll_wait(epoll, events, most, timeout);
}
int __wrap_eventfd(unsigned value, int flags) { return kernel().eventfd(value, flags); }
int __wrap_ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t*) {
  return kernel().poll(descriptors, count, timeout);
}

// This is std::chrono::steady_clock::now(). Its time_point is returned like its count.
std::int64_t __wrap__ZNSt6chrono3_V212steady_clock3nowEv() { return kernel().clock().count(); }

int __wrap_RAND_bytes(unsigned char* to, int size) {
  for (int i = 0; i < size; ++i)
    to[i] = faked() ? kernel().random() : static_cast<unsigned char>(i);
  return 1;
}

}  // extern "C"
