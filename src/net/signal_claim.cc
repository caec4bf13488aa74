// Makes sure that only one loop or server of a process takes a signal. The claims are in the
// kernel, because tern has no variables for the whole process. A claim is a lock of one byte of the
// file /proc/self/comm, which each process has for itself; the position of the byte is the number
// of the signal. It is a lock of the open file description (fcntl(2), F_OFD_SETLK), so two
// descriptors of one process exclude each other too. The file is neither read nor written.
#include "net/signal_claim.h"

#include "tern/error.h"

#include "base/last_error.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace tern::net {

namespace {

// A `length` of 0 means all bytes from `first` on.
int set_lock(int fd, short type, off_t first, off_t length) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = length;
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

}  // namespace

std::error_code SignalClaim::open() noexcept {
  const int process = ::getpid();
  if (fd_ && process_ == process) return {};
  fd_.reset(::open("/proc/self/comm", O_RDWR | O_CLOEXEC));
  process_ = process;
  const bool exhausted = !fd_ && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
  return exhausted ? base::last_error() : std::error_code();
}

std::error_code SignalClaim::take(int signo) noexcept {
  if (auto error = open()) return error;
  if (!fd_) return {};
  const int error = set_lock(fd_.get(), F_WRLCK, signo, 1);
  return error == EAGAIN || error == EACCES ? make_error_code(Errc::signal_in_use)
                                            : std::error_code();
}

void SignalClaim::release(int signo) noexcept {
  if (fd_ && process_ == ::getpid()) set_lock(fd_.get(), F_UNLCK, signo, 1);
}

// Unlocks before it closes: a forked child may keep the description open, so the lock would
// otherwise outlive the descriptor.
void SignalClaim::release_all() noexcept {
  if (fd_ && process_ == ::getpid()) set_lock(fd_.get(), F_UNLCK, 0, 0);
  fd_.reset();
}

}  // namespace tern::net
