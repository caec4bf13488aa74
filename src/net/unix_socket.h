#pragma once

#include "net/fd.h"
#include "net/socket.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace tern::net {

/// The longest path of a Unix socket.
inline constexpr std::size_t max_unix_path = 107;

/// Connects to a Unix socket, without waiting: it fails with EAGAIN if the listener's queue is
/// full. `path` has at most max_unix_path bytes; '@' or NUL in front means an abstract name
/// (unix(7)).
Opened connect_unix(std::string_view path) noexcept;

/// The file of a Unix socket on which this process listens. Move-only; an abstract name has none.
class SocketFile {
 public:
  SocketFile() noexcept = default;
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile() { remove(); }

  /// Remembers the file at `path`, which this process has just made, also if the process changes
  /// its working directory later. Throws std::bad_alloc.
  void keep(std::string path);
  /// Removes the file, if this process made it, no other file has replaced it, and no program
  /// accepts there. Close the socket before.
  void remove() noexcept;

 private:
  std::string path_{};  // empty: there is no file
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  int process_ = 0;
};

/// A listening Unix socket, or the reason why there is none.
struct UnixListener {
  Fd fd{};
  SocketFile file{};
  std::error_code error{};
};

/// Listens on `path`, which is as for connect_unix(). `mode` becomes the mode of the file before
/// the socket accepts; without it, the umask of the process decides. A socket file that another
/// program left is removed, if no program accepts there. Errors: EADDRINUSE if one does; EEXIST if
/// the path is a file of another kind; those of the system. Throws std::bad_alloc.
UnixListener listen_unix(std::string_view path, std::optional<std::uint32_t> mode,
                         int backlog = SOMAXCONN);

}  // namespace tern::net
