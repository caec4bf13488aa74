// An event that any thread, or a signal handler, can set, and that a loop can watch.
#pragma once

#include "net/socket.h"

namespace tern::net {

/// An eventfd: not readable until signal_event().
Opened open_event() noexcept;
/// Makes it readable, until clear_event(). Thread: any. Async-signal-safe.
void signal_event(int fd) noexcept;
/// Forgets all signals so far. Thread: any.
void clear_event(int fd) noexcept;

}  // namespace tern::net
