#pragma once

#include <cerrno>
#include <unistd.h>
#include <utility>

namespace tern::net {

/// Owns a file descriptor. -1 means that it owns none.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  explicit operator bool() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }
  /// Returns the descriptor and no longer owns it.
  int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes the descriptor that it owns and takes `fd`. Calls close() only once: on Linux the
  /// descriptor is free even after EINTR, and another thread may already have reused its number.
  /// Keeps errno, so that it can run between a failure and its report.
  void reset(int fd = -1) noexcept {
    const int old = std::exchange(fd_, fd);
    if (old < 0) return;
    const int saved = errno;
    ::close(old);
    errno = saved;
  }

 private:
  int fd_ = -1;
};

}  // namespace tern::net
