// What the bench asks of the kernel about processes: cores, limits, CPU time, memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <sys/types.h>

namespace tern::bench {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// Throws std::system_error with errno and `what` was tried.
[[noreturn]] void throw_errno(const std::string& what);

/// Lets this process open as many descriptors as its hard limit allows; returns that number.
std::size_t raise_descriptor_limit() noexcept;
inline constexpr int any_core = -1;
/// Binds the calling thread, and what it starts, to one core, or lets it run on every one again.
/// False when there is no such core.
bool pin_to_core(int core) noexcept;
/// Round-robin real-time scheduling, for machines with other work. Higher priorities go first.
/// False without the right to it.
bool set_realtime(int priority = 1) noexcept;
/// Back among everybody else.
void unset_realtime() noexcept;

/// The CPU time a process has used so far, all its threads together, user and kernel. This is the
/// scheduler's own account to the nanosecond, also for a thread that runs right now.
/// Throws std::system_error.
std::chrono::nanoseconds cpu_time(pid_t process);
/// The same as soon as the process rests, so that nothing of what was asked of it is missing. Waits
/// for a second at most. Throws as cpu_time().
std::chrono::nanoseconds settled_cpu_time(pid_t process);
/// The resident set of a process, counted page by page: VmRSS is off by up to 256 KiB, which is
/// too much for 272 bytes times 8 000. Throws std::runtime_error.
std::size_t resident_bytes(pid_t process);
/// The most that it ever was, as the kernel counts it: within 256 KiB. Throws std::runtime_error.
std::size_t peak_resident_bytes(pid_t process);

}  // namespace tern::bench
