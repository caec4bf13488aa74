// A program that is started, pinned, and listened to.
#pragma once

#include "net/fd.h"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

class Child {
 public:
  /// Starts `command` on `core`. Throws std::system_error.
  Child(const std::vector<std::string>& command, int core, bool realtime);
  /// SIGTERM, then waits for its end.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// Waits for the next line of its standard output, without the end of line; nothing when it has
  /// ended.
  std::optional<std::string> line();

 private:
  pid_t pid_ = -1;
  net::Fd output_{};  // stays open, so that what it prints later finds a reader's end
  std::string read_{};
};

}  // namespace tern::bench
