#pragma once

#include "tern/error.h"

#include <nats/nats.h>
#include <string>

// The use of libnats as a whole, and its effects on the process.

namespace tern::nats {

/// Starts libnats once in a process. libnats ignores SIGPIPE and starts threads: here the
/// disposition of SIGPIPE stays as it was, and the threads block all signals, so that they run no
/// handler of the application. Errors: in a child of fork() whose parent started it. Thread: any.
Result<void> open_library();

/// The text of the calling thread's last error of libnats, without the place in its source.
std::string last_error_text(natsStatus status);

/// An error of libnats in words.
Error error_of(natsStatus status);

}  // namespace tern::nats
