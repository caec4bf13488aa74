// Starts a program by fork and exec. The kernel ends it with this process, so no failed measurement
// leaves a server behind.
#include "throughput/child.h"

#include "throughput/system.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace tern::bench {
namespace {

// Runs in the child, between fork and exec.
[[noreturn]] void become(std::vector<char*> arguments, int output, int core, bool realtime) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // it must not outlive a measurement that fails
  ::dup2(output, STDOUT_FILENO);
  pin_to_core(core);
  if (realtime) set_realtime();
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace

Child::Child(const std::vector<std::string>& command, int core, bool realtime) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  output_ = net::Fd(ends[0]);
  const net::Fd theirs(ends[1]);
  pid_ = ::fork();
  if (pid_ < 0) throw_errno("fork");
  if (pid_ == 0) become(std::move(arguments), theirs.get(), core, realtime);
}

Child::~Child() {
  ::kill(pid_, SIGTERM);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<std::string> Child::line() {
  std::array<char, 512> buffer;
  for (;;) {
    if (const std::size_t end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    read_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace tern::bench
