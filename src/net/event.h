// An event that any thread or signal handler can set and a loop can watch.
#pragma once

#include "net/socket.h"

namespace tern::net {

/// Opens an eventfd. It is not readable until signal_event().
Opened open_event() noexcept;
/// Makes the event readable until clear_event(). Each call is a new edge for epoll's EPOLLET, even
/// if clear_event() is never called. errno stays the same. Thread: any. Async-signal-safe.
void signal_event(int fd) noexcept;
/// Makes the event not readable. Thread: any.
void clear_event(int fd) noexcept;

}  // namespace tern::net
