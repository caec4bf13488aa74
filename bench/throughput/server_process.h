// A server of the comparison: started, pinned, and asked where it listens.
#pragma once

#include "net/fd.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

class ServerProcess {
 public:
  /// Starts `command` on `core`, which may be any_core, and waits until it prints "listening on
  /// ws://…" as a line's beginning. Throws std::runtime_error when it ends before, and
  /// std::system_error.
  ServerProcess(const std::vector<std::string>& command, int core, bool realtime);
  /// SIGTERM, then waits for its end.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& url() const noexcept { return url_; }
  pid_t pid() const noexcept { return pid_; }

 private:
  void stop() noexcept;

  pid_t pid_ = -1;
  net::Fd output_{};  // stays open, so that what it prints later finds a reader's end
  std::string url_{};
};

/// The path of a program in the directory of the running one.
std::string beside_this_program(const std::string& name);

}  // namespace tern::bench
