// Waits for descriptors without a loop: poll with an absolute deadline.
#pragma once

#include <chrono>
#include <poll.h>
#include <span>

namespace tern::client {

using Clock = std::chrono::steady_clock;

/// The time at which `timeout` ends; Clock::time_point::max() if that time cannot be represented.
Clock::time_point deadline_after(std::chrono::nanoseconds timeout) noexcept;

/// Waits until one of `descriptors` is ready and returns true, or until `deadline` and returns
/// false. time_point::max() means no deadline. Polls at least once. Signals do not shorten the
/// wait.
bool poll_until(std::span<pollfd> descriptors, Clock::time_point deadline) noexcept;

}  // namespace tern::client
