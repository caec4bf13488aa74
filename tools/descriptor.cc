// Opens a descriptor again through /proc/self/fd, because O_NONBLOCK belongs to the open file,
// which other processes share.
#include "descriptor.h"

#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace command {

int open_again(int fd, int flags) noexcept {
  struct stat file {};
  if (::fstat(fd, &file) != 0) return -1;
  // Another open of a regular file would have a position of its own. A socket cannot be opened.
  if (S_ISFIFO(file.st_mode) || ::isatty(fd) == 1) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int again = ::open(path.c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again >= 0) return again;
  }
  return ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

bool is_non_blocking(int fd) noexcept { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

void fill_standard_descriptors() noexcept {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0) ::_exit(1);
  }
}

}  // namespace command
