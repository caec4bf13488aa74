// Waiting for descriptors without a loop: poll with an absolute deadline.
#pragma once

#include <chrono>
#include <poll.h>
#include <span>

namespace tern::client {

using Clock = std::chrono::steady_clock;

/// When `timeout` will be over; Clock::time_point::max() when that is beyond all time.
Clock::time_point deadline_after(std::chrono::nanoseconds timeout) noexcept;

/// Waits until one of `descriptors` is ready, then true, or `deadline` has come, then false;
/// time_point::max() is never. Looks at least once. Signals do not shorten the wait.
bool poll_until(std::span<pollfd> descriptors, Clock::time_point deadline) noexcept;

}  // namespace tern::client
