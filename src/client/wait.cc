// Waits for descriptors with ppoll. A signal does not end the wait: the time that is left is
// computed from the absolute deadline.
#include "client/wait.h"

#include "base/later.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace tern::client {

Clock::time_point deadline_after(std::chrono::nanoseconds timeout) noexcept {
  return base::later(Clock::now(), timeout);
}

bool poll_until(std::span<pollfd> descriptors, Clock::time_point deadline) noexcept {
  for (;;) {
    timespec left{};
    if (deadline != Clock::time_point::max()) {
      const auto span = std::max(deadline - Clock::now(), Clock::duration::zero());
      const auto seconds = std::chrono::floor<std::chrono::seconds>(span);
      left.tv_sec = seconds.count();
      left.tv_nsec = std::chrono::nanoseconds(span - seconds).count();
    }
    const bool without_end = deadline == Clock::time_point::max();
    const int ready =
        ::ppoll(descriptors.data(), descriptors.size(), without_end ? nullptr : &left, nullptr);
    if (ready > 0) return true;
    if (ready == 0) return false;
    // The error is EINTR, or ENOMEM, which passes.
    for (pollfd& descriptor : descriptors) descriptor.revents = 0;
  }
}

}  // namespace tern::client
