// Reads /proc and clocks, and sets cores, priorities and limits.
#include "throughput/system.h"

#include <cerrno>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <string_view>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <time.h>

namespace tern::bench {

void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

std::size_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

bool pin_to_core(int core) noexcept {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (core == any_core) {
    for (std::size_t each = 0; each < CPU_SETSIZE; ++each) CPU_SET(each, &cores);
  } else {
    CPU_SET(static_cast<std::size_t>(core), &cores);
  }
  return ::sched_setaffinity(0, sizeof cores, &cores) == 0;
}

bool set_realtime(int priority) noexcept {
  const sched_param parameters{.sched_priority = priority};
  return ::sched_setscheduler(0, SCHED_RR, &parameters) == 0;
}

void unset_realtime() noexcept {
  const sched_param parameters{};
  ::sched_setscheduler(0, SCHED_OTHER, &parameters);
}

std::chrono::nanoseconds cpu_time(pid_t process) {
  clockid_t clock;
  if (const int error = ::clock_getcpuclockid(process, &clock); error != 0) {
    errno = error;
    throw_errno("CPU clock of process " + std::to_string(process));
  }
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) {
    throw_errno("CPU clock of process " + std::to_string(process));
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::chrono::nanoseconds settled_cpu_time(pid_t process) {
  constexpr auto look_every = std::chrono::milliseconds(10);
  constexpr auto at_rest = std::chrono::microseconds(20);
  const auto end = Clock::now() + std::chrono::seconds(1);
  auto used = cpu_time(process);
  for (;;) {
    std::this_thread::sleep_for(look_every);
    const auto now_used = cpu_time(process);
    if (now_used - used < at_rest || Clock::now() > end) return now_used;
    used = now_used;
  }
}

namespace {

std::size_t memory_field(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::size_t kilobytes = 0;
    if (word == name && file >> kilobytes) return kilobytes * 1024;
  }
  throw std::runtime_error("cannot read " + std::string(name) + " from " + path);
}

std::string directory_of(pid_t process) { return "/proc/" + std::to_string(process); }

}  // namespace

std::chrono::nanoseconds thread_cpu_time(pid_t process, pid_t thread) {
  const std::string path = directory_of(process) + "/task/" + std::to_string(thread) + "/schedstat";
  std::ifstream file(path);
  std::chrono::nanoseconds::rep nanoseconds = 0;
  if (!(file >> nanoseconds)) throw std::runtime_error("cannot read " + path);
  return std::chrono::nanoseconds(nanoseconds);
}

std::size_t resident_bytes(pid_t process) {
  return memory_field(directory_of(process) + "/smaps_rollup", "Rss:");
}

std::size_t peak_resident_bytes(pid_t process) {
  return memory_field(directory_of(process) + "/status", "VmHWM:");
}

void forget_peak_resident_bytes(pid_t process) {
  std::ofstream file(directory_of(process) + "/clear_refs");
  if (!(file << "5\n" << std::flush)) {
    throw std::runtime_error("cannot write to clear_refs of process " + std::to_string(process));
  }
}

}  // namespace tern::bench
