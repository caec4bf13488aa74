// Two parts of a program that know nothing of each other meet in the kernel, because tern has no
// variable that belongs to the whole process. A claim is a lock of one byte, the one with the
// number of the signal, on a file that each process has for itself: /proc/self/comm. It is a lock
// of the open file description (fcntl(2), F_OFD_SETLK), so it stands between two descriptors of one
// process as well. The file is neither read nor written.
#include "net/signal_claim.h"

#include "tern/error.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace tern::net {

namespace {

// `length` 0: all bytes from `first` on.
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
  return exhausted ? std::error_code(errno, std::system_category()) : std::error_code();
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

// A child of fork() keeps the description open, so the lock would outlive the descriptor.
void SignalClaim::release_all() noexcept {
  if (fd_ && process_ == ::getpid()) set_lock(fd_.get(), F_UNLCK, 0, 0);
  fd_.reset();
}

}  // namespace tern::net
