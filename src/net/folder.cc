// A FIFO or a device is not opened, because that would wake the writer of the FIFO or start the
// device. Another program may exchange the file between the check and the open. So it is opened
// with O_NONBLOCK, and checked again through its descriptor.
#include "net/folder.h"

#include "base/last_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace tern::net {
namespace {

constexpr int to_read = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr int to_pass = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// The kernel gives up with EAGAIN if something was renamed while it resolved "..".
constexpr int attempts = 8;

template <class Call>
int retried(Call&& call) noexcept {
  int result = call();
  for (int i = 1; result < 0 && (errno == EINTR || errno == EAGAIN) && i < attempts; ++i) {
    result = call();
  }
  return result;
}

int call_openat2(int folder, const char* path) noexcept {
  open_how how{};
  how.flags = to_read;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

std::chrono::sys_time<std::chrono::nanoseconds> time_from(const timespec& given) noexcept {
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  // A file may have any time; those after the year 2262 do not fit into nanoseconds.
  constexpr std::int64_t latest = 9'223'372'035;
  return std::chrono::sys_time<nanoseconds>(
      seconds(std::clamp<std::int64_t>(given.tv_sec, -latest, latest)) +
      nanoseconds(given.tv_nsec));
}

FileFacts facts_from(const struct stat& found) noexcept {
  return {.size = static_cast<std::uint64_t>(found.st_size), .modified = time_from(found.st_mtim)};
}

FileIdentity identity_from(const struct stat& found) noexcept {
  return {.device = found.st_dev,
          .node = found.st_ino,
          .facts = facts_from(found),
          .changed = time_from(found.st_ctim)};
}

OpenedFile::Kind kind_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return OpenedFile::Kind::regular;
  return S_ISDIR(mode) ? OpenedFile::Kind::folder : OpenedFile::Kind::other;
}

}  // namespace

// A kernel before 5.6 has no openat2. A filter of system calls that does not know it, as of some
// containers, refuses it with EPERM.
std::error_code Folder::open(const std::string& path) noexcept {
  if (const auto error = open(path, Guard::kernel)) return error;
  const Fd probe(retried([&] { return call_openat2(fd_.get(), "."); }));
  if (!probe && (errno == ENOSYS || errno == EPERM)) guard_ = Guard::walk;
  return {};
}

std::error_code Folder::open(const std::string& path, Guard guard) noexcept {
  Fd opened(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return base::last_error();
  fd_ = std::move(opened);
  guard_ = guard;
  return {};
}

OpenedFile Folder::open_file(const std::string& path) const noexcept {
  OpenedFile result;
  if (path.find('\0') != std::string::npos) {  // the system would see only the part before it
    result.error = std::make_error_code(std::errc::no_such_file_or_directory);
    return result;
  }
  if (!may_open(path)) {
    result.kind = OpenedFile::Kind::other;
    return result;
  }
  result.fd = guard_ == Guard::kernel ? open_beneath(path) : open_by_parts(path);
  struct stat found {};
  if (!result.fd || ::fstat(result.fd.get(), &found) != 0) {
    result.error = base::last_error();
    return result;
  }
  result.kind = kind_of(found.st_mode);
  result.facts = facts_from(found);
  return result;
}

// The open reports what is wrong with a path that cannot be looked at.
bool Folder::may_open(const std::string& path) const noexcept {
  struct stat found {};
  if (path.empty() || ::fstatat(fd_.get(), path.c_str(), &found, 0) != 0) return true;
  return kind_of(found.st_mode) != OpenedFile::Kind::other;
}

std::optional<FileIdentity> Folder::look_at(const std::string& path) const noexcept {
  struct stat found {};
  if (::fstatat(fd_.get(), path.c_str(), &found, 0) != 0 || !S_ISREG(found.st_mode)) return {};
  return identity_from(found);
}

Fd Folder::open_beneath(const std::string& path) const noexcept {
  const char* const name = path.empty() ? "." : path.c_str();
  return Fd(retried([&] { return call_openat2(fd_.get(), name); }));
}

Fd Folder::open_by_parts(const std::string& path) const noexcept {
  if (path.empty()) return Fd(::openat(fd_.get(), ".", to_read));
  std::array<char, NAME_MAX + 1> part{};
  Fd folder;
  int at = fd_.get();
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name(path.data() + begin, end - begin);
    if (name.empty() || name == "." || name == ".." || name.size() > NAME_MAX) {
      errno = name.size() > NAME_MAX ? ENAMETOOLONG : EXDEV;
      return {};
    }
    part[name.copy(part.data(), NAME_MAX)] = '\0';
    const bool is_last = end == path.size();
    const int flags = is_last ? to_read | O_NOFOLLOW : to_pass;
    Fd next(retried([&] { return ::openat(at, part.data(), flags); }));
    if (is_last || !next) return next;
    folder = std::move(next);
    at = folder.get();
    begin = end + 1;
  }
}

std::optional<FileFacts> facts_of(int fd) noexcept {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return {};
  return facts_from(found);
}

std::optional<FileIdentity> identity_of(int fd) noexcept {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return {};
  return identity_from(found);
}

std::optional<std::size_t> read_at(int fd, std::uint64_t offset,
                                   std::span<std::byte> into) noexcept {
  for (;;) {
    const ssize_t got = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return {};
  }
}

}  // namespace tern::net
