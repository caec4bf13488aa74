// Starts a program on a core and reads its output.
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
  /// Sends SIGTERM and waits for the end of the program.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// Waits for the next line of its standard output and returns it without the end of line, or
  /// nothing after its end.
  std::optional<std::string> line();

 private:
  pid_t pid_ = -1;
  net::Fd output_{};  // stays open, so that the program can go on printing
  std::string read_{};
};

}  // namespace tern::bench
