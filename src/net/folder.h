// Files of one folder. No path leads out of it.
#pragma once

#include "net/fd.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>

namespace tern::net {

/// The facts that show whether a file was changed.
struct FileFacts {
  std::uint64_t size = 0;
  std::chrono::sys_time<std::chrono::nanoseconds> modified{};

  bool operator==(const FileFacts&) const = default;
};

/// The facts that change with each change of a file or of its name. No program can set all of them.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t node = 0;
  FileFacts facts{};
  std::chrono::sys_time<std::chrono::nanoseconds> changed{};  ///< its contents, name or mode

  bool operator==(const FileIdentity&) const = default;
};

/// The result of Folder::open_file().
struct OpenedFile {
  enum class Kind : std::uint8_t {
    none,     ///< `error` says why
    regular,  ///< `fd` reads it
    folder,
    other,  ///< a FIFO, a socket, a device: never read
  };
  Kind kind = Kind::none;
  Fd fd{};
  FileFacts facts{};
  std::error_code error{};
};

/// A folder of which files are opened by their path inside of it. Thread: any, at the same time.
class Folder {
 public:
  /// How a path is kept inside of the folder.
  enum class Guard : std::uint8_t {
    /// openat2 with RESOLVE_BENEATH, since Linux 5.6: links to places inside are followed.
    kernel,
    /// One part of the path after the other, for older kernels: no link is followed.
    walk,
  };

  Folder() noexcept = default;
  /// Opens the folder, and finds out which guard this kernel has. Returns what failed.
  std::error_code open(const std::string& path) noexcept;
  std::error_code open(const std::string& path, Guard guard) noexcept;

  Guard guard() const noexcept { return guard_; }
  /// Opens a file to read, without waiting for anything. `path` has no slash at either end; empty:
  /// the folder itself. A path that leads outside, by ".." or by a link, fails with EXDEV, ELOOP or
  /// ENOTDIR.
  OpenedFile open_file(const std::string& path) const noexcept;
  /// Returns what this path leads to now, also outside of the folder; nothing if there is no
  /// regular file. Opens nothing, so it only tells whether a file that was opened is still the
  /// same.
  std::optional<FileIdentity> look_at(const std::string& path) const noexcept;

 private:
  bool may_open(const std::string& path) const noexcept;
  Fd open_beneath(const std::string& path) const noexcept;
  Fd open_by_parts(const std::string& path) const noexcept;

  Fd fd_{};
  Guard guard_ = Guard::kernel;
};

/// Returns what the file is now; nothing if the system does not tell.
std::optional<FileFacts> facts_of(int fd) noexcept;
std::optional<FileIdentity> identity_of(int fd) noexcept;

/// Reads bytes from `offset` on, once. Returns how many; 0 behind the end; nothing if the read
/// failed, and then errno has the reason.
std::optional<std::size_t> read_at(int fd, std::uint64_t offset,
                                   std::span<std::byte> into) noexcept;

}  // namespace tern::net
