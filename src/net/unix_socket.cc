// Unix sockets. bind() makes the file of a socket and never removes it. So the file of a program
// that was killed stays, and the next bind() fails.
//
// - A file is stale if connecting to it is refused: no program listens there. A program that is
// just starting has made its file, but does not listen yet. So programs that use this code lock the
//   directory from bind() to listen(), and look at the file only under the lock.
// - At its end a program removes its file only if it is still the file that it made, and if no
//   program accepts there. Another program may have replaced it, and a child of fork() may still
//   serve.
#include "net/unix_socket.h"

#include "base/last_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace tern::net {

namespace {

using base::last_error;

static_assert(sizeof(sockaddr_un::sun_path) == max_unix_path + 1);

bool is_abstract(std::string_view path) noexcept {
  return path.front() == '@' || path.front() == '\0';
}

struct UnixAddress {
  sockaddr_un name{};
  socklen_t size = 0;  // 0: the path is empty or too long

  explicit UnixAddress(std::string_view path) noexcept {
    if (path.empty() || path.size() > max_unix_path) return;
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    if (is_abstract(path)) name.sun_path[0] = '\0';
    // A path ends with a NUL, an abstract name with the size of the address.
    const std::size_t end = is_abstract(path) ? 0 : 1;
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + end);
  }
  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
};

Fd new_socket() noexcept {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// Locks the directory of a file until it is destroyed. Without permission to read the directory
// there is no lock; then two programs that start at the same time may take the path from each
// other. The same holds if another program keeps the lock: any user may lock a directory that it
// may read, so a server waits only for the short time that a start takes.
class DirectoryLock {
 public:
  static constexpr std::chrono::milliseconds usual_wait{1000};

  explicit DirectoryLock(std::string_view path, std::chrono::milliseconds wait) noexcept {
    std::array<char, max_unix_path + 1> directory{'.'};
    const std::size_t slash = path.rfind('/');
    if (slash != path.npos) path.copy(directory.data(), std::min(slash + 1, directory.size() - 1));
    fd_.reset(::open(directory.data(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    constexpr std::chrono::milliseconds pause{10};
    while (fd_ && ::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      taken_ = errno == EWOULDBLOCK;
      if (errno == EINTR) continue;
      if (!taken_ || wait <= pause) return;
      wait -= pause;
      std::this_thread::sleep_for(pause);
    }
    taken_ = false;
  }
  /// Whether another program has the lock.
  bool is_taken() const noexcept { return taken_; }

 private:
  Fd fd_{};
  bool taken_ = false;
};

bool is_no_socket(const std::string& path) noexcept {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode);
}

// Whether the file is a socket on which no program listens.
bool is_stale(const std::string& path) noexcept {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  return connect_unix(path).error == std::errc::connection_refused;
}

std::error_code bind_file(int fd, const UnixAddress& address, const std::string& path) noexcept {
  if (::bind(fd, address.data(), address.size) == 0) return {};
  const std::error_code error = last_error();
  if (error != std::errc::address_in_use) return error;
  if (is_no_socket(path)) return std::make_error_code(std::errc::file_exists);
  if (!is_stale(path)) return error;
  if (::unlink(path.c_str()) != 0) return last_error();
  return ::bind(fd, address.data(), address.size) == 0 ? std::error_code() : last_error();
}

// Before bind() a socket has a mode of its own, which its file inherits, less the umask. So the
// file never allows more than `mode`. What the umask took away is added, but not through a link
// that another program has put there since.
std::error_code widen_mode(const std::string& path, mode_t mode) noexcept {
  struct stat made {};
  if (::lstat(path.c_str(), &made) != 0) return last_error();
  constexpr mode_t permissions = 07777;
  if ((made.st_mode & permissions) == mode) return {};
  if (::fchmodat(AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW) != 0) return last_error();
  return {};
}

UnixListener failed(std::error_code error) noexcept { return {Fd(), SocketFile(), error}; }

}  // namespace

Opened connect_unix(std::string_view path) noexcept {
  const UnixAddress address(path);
  if (address.size == 0) return {Fd(), std::make_error_code(std::errc::filename_too_long)};
  Fd socket = new_socket();
  if (!socket) return {Fd(), last_error()};
  while (::connect(socket.get(), address.data(), address.size) != 0) {
    if (errno != EINTR) return {Fd(), last_error()};
  }
  return {std::move(socket), {}};
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_),
      process_(other.process_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  process_ = other.process_;
  return *this;
}

void SocketFile::keep(std::string path) {
  remove();
  std::error_code no_directory;  // it was removed
  std::string absolute = std::filesystem::absolute(path, no_directory).string();
  if (!no_directory && absolute.size() <= max_unix_path) path = std::move(absolute);
  struct stat made {};
  if (::lstat(path.c_str(), &made) != 0) return;
  path_ = std::move(path);
  device_ = made.st_dev;
  inode_ = made.st_ino;
  process_ = ::getpid();
}

void SocketFile::remove() noexcept {
  if (path_.empty()) return;
  if (process_ == ::getpid()) {
    // If a program is just starting here, the file may be its own: a new file may have the number
    // of an old one. A file that stays does no harm, because the next start removes it.
    const DirectoryLock lock(path_, std::chrono::milliseconds(0));
    struct stat found {};
    const bool same = !lock.is_taken() && ::lstat(path_.c_str(), &found) == 0 &&
                      found.st_dev == device_ && found.st_ino == inode_;
    if (same && is_stale(path_)) ::unlink(path_.c_str());
  }
  path_.clear();
}

UnixListener listen_unix(std::string_view path, std::optional<std::uint32_t> mode, int backlog) {
  const UnixAddress address(path);
  if (address.size == 0) return failed(std::make_error_code(std::errc::filename_too_long));
  UnixListener made;
  made.fd = new_socket();
  if (!made.fd) return failed(last_error());
  if (is_abstract(path)) {
    if (::bind(made.fd.get(), address.data(), address.size) != 0) return failed(last_error());
    if (::listen(made.fd.get(), backlog) != 0) return failed(last_error());
    return made;
  }
  std::string file(path);
  if (mode && ::fchmod(made.fd.get(), *mode) != 0) return failed(last_error());
  const DirectoryLock lock(file, DirectoryLock::usual_wait);
  if (auto error = bind_file(made.fd.get(), address, file)) return failed(error);
  made.file.keep(file);
  if (mode) {
    if (auto error = widen_mode(file, *mode)) return failed(error);
  }
  if (::listen(made.fd.get(), backlog) != 0) return failed(last_error());
  return made;
}

}  // namespace tern::net
