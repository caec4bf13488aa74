// A server of the comparison: starts it on a core and reads its URL.
#pragma once

#include "throughput/child.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

class ServerProcess {
 public:
  /// Starts `command` on `core`, which may be any_core, and waits until it prints a line that
  /// begins with "listening on ws://…". Throws std::runtime_error when it ends before that, and
  /// std::system_error.
  ServerProcess(const std::vector<std::string>& command, int core, bool realtime);

  const std::string& url() const noexcept { return url_; }
  pid_t pid() const noexcept { return child_.pid(); }

 private:
  Child child_;
  std::string url_{};
};

/// The path of a program in the directory of the running one.
std::string beside_this_program(const std::string& name);

}  // namespace tern::bench
