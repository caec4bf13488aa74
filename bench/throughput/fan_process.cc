// The fan-out runs in another process with the lowest priority, so that it takes no time from the
// measured client.
#include "throughput/fan_process.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <signal.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tern::bench {
namespace {

constexpr int lowest_priority = 19;

bool wait_for_byte(int pipe) noexcept {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &byte, 1);
  } while (got < 0 && errno == EINTR);
  return got == 1;
}

// Runs in the other process.
[[noreturn]] void become(const FanOptions& options, std::chrono::milliseconds interval, int core,
                         bool realtime, int ready, int start) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive the measurement
  pin_to_core(core);
  if (!realtime || !set_realtime()) {
    unset_realtime();
    ::setpriority(PRIO_PROCESS, 0, lowest_priority);
  }
  try {
    FanLoad load(options);
    if (::write(ready, "", 1) == 1 && wait_for_byte(start)) load.publish_every(interval);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-bench: fan-out: %s\n", error.what());
  }
  ::_exit(1);
}

}  // namespace

FanProcess::FanProcess(const FanOptions& options, std::chrono::milliseconds interval, int core,
                       bool realtime) {
  std::array<int, 2> ready;
  std::array<int, 2> start;
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  const net::Fd ready_read(ready[0]);
  net::Fd ready_write(ready[1]);
  if (::pipe2(start.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  const net::Fd start_read(start[0]);
  start_ = net::Fd(start[1]);
  pid_ = ::fork();
  if (pid_ < 0) throw_errno("fork");
  if (pid_ == 0) become(options, interval, core, realtime, ready_write.get(), start_read.get());
  ready_write = {};  // so that the pipe reports the end of the process
  if (wait_for_byte(ready_read.get())) return;
  ::waitpid(pid_, nullptr, 0);
  throw std::runtime_error("the fan-out does not begin");
}

FanProcess::~FanProcess() {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void FanProcess::begin() {
  if (::write(start_.get(), "", 1) != 1) throw_errno("write");
}

}  // namespace tern::bench
