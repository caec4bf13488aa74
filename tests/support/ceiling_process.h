// The raw servers of tern-bench in a child process.
#pragma once

#include "net/fd.h"
#include "throughput/ceiling.h"

#include <array>
#include <cstdio>
#include <gtest/gtest.h>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace tern::bench {

/// run_ceiling() in a child process. The destructor ends it.
class CeilingProcess {
 public:
  explicit CeilingProcess(const CeilingOptions& options) {
    std::fflush(nullptr);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::_exit(run_ceiling(options));
    }
    ::close(ends[1]);
    const net::Fd output(ends[0]);
    constexpr std::string_view prefix = "listening on ";
    std::string line;
    for (char c = 0; ::read(output.get(), &c, 1) == 1 && c != '\n';) line += c;
    EXPECT_TRUE(line.starts_with(prefix)) << line;
    url_ = line.substr(prefix.size());
  }
  ~CeilingProcess() {
    if (pid_ > 0) stop();
  }
  CeilingProcess(const CeilingProcess&) = delete;
  CeilingProcess& operator=(const CeilingProcess&) = delete;

  const std::string& url() const noexcept { return url_; }
  pid_t pid() const noexcept { return pid_; }

  /// Ends the process, and returns the status of waitpid().
  int stop() {
    int status = 0;
    ::kill(pid_, SIGTERM);
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  std::string url_{};
};

}  // namespace tern::bench
