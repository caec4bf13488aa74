// Process data from the kernel: cores, limits, CPU time, memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <sys/types.h>

namespace tern::bench {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// Throws std::system_error with errno and the name of the failed operation, `what`.
[[noreturn]] void throw_errno(const std::string& what);

/// Lets this process open as many descriptors as its hard limit allows; returns that number.
std::size_t raise_descriptor_limit() noexcept;
inline constexpr int any_core = -1;
/// Binds the calling thread and its children to one core, or lets them run on all cores again.
/// False when there is no such core.
bool pin_to_core(int core) noexcept;
/// Switches to round-robin real-time scheduling, for machines with other work. Higher priorities
/// run first. False without the right to it.
bool set_realtime(int priority = 1) noexcept;
/// Switches back to normal scheduling.
void unset_realtime() noexcept;

/// The CPU time of a process so far, all its threads together, user and kernel. It is the
/// scheduler's own count in nanoseconds, and includes threads that run at the moment. Throws
/// std::system_error.
std::chrono::nanoseconds cpu_time(pid_t process);
/// The CPU time of one thread, as the scheduler counted it at its last tick or switch. Throws
/// std::runtime_error.
std::chrono::nanoseconds thread_cpu_time(pid_t process, pid_t thread);
/// Waits until the process rests, so that all of its work is included, then returns the same. Waits
/// for a second at most. Throws as cpu_time().
std::chrono::nanoseconds settled_cpu_time(pid_t process);
/// The resident set of a process, counted page by page, because the error of VmRSS is up to 256
/// KiB. That is too much for 272 bytes times 8 000. Throws std::runtime_error.
std::size_t resident_bytes(pid_t process);
/// The maximum of the resident set so far, as the kernel counts it: within 256 KiB. Throws
/// std::runtime_error.
std::size_t peak_resident_bytes(pid_t process);
/// Lets the maximum begin again at the present resident set. Throws std::runtime_error.
void forget_peak_resident_bytes(pid_t process);

}  // namespace tern::bench
