// Implements an event with an eventfd, because a signal handler is allowed to write to a
// descriptor.
#include "net/event.h"

#include "base/last_error.h"

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

namespace tern::net {

Opened open_event() noexcept {
  Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event) return {.error = base::last_error()};
  return {.fd = std::move(event)};
}

void signal_event(int fd) noexcept {
  const int saved = errno;
  const std::uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0) {
    std::uint64_t counter;
    if (errno == EAGAIN) {  // the counter is full, because the watcher does not read it
      if (::read(fd, &counter, sizeof counter) < 0 && errno != EAGAIN) break;
    } else if (errno != EINTR) {
      break;
    }
  }
  errno = saved;
}

void clear_event(int fd) noexcept {
  std::uint64_t signals;
  while (::read(fd, &signals, sizeof signals) < 0 && errno == EINTR) {
  }
}

}  // namespace tern::net
