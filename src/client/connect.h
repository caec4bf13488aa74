#pragma once

#include "tern/error.h"

#include "client/race.h"
#include "client/stop.h"
#include "client/wait.h"
#include "net/fd.h"
#include "net/resolver.h"

#include <optional>

namespace tern::client {

/// How to connect, besides the addresses.
struct ConnectOptions {
  Clock::time_point deadline;
  /// Our own address; absent: the system chooses. Its port is 0 for any.
  std::optional<net::Address> from{};
  const StopSignal* stop = nullptr;  ///< ends the attempts; null: nothing does
};

/// Returns the result of an attempt whose socket is ready; no error if it is connected.
std::error_code attempt_result(int fd, const net::Address& address) noexcept;

/// Connects to the first of `addresses` that accepts, by the rules of Race. Errors: that of the
/// last attempt, handshake_timeout at the deadline, or stopped; the text names every address that
/// was tried. Throws std::bad_alloc. RFC 8305 §5.
Result<net::Fd> connect_any(const net::Addresses& addresses, const ConnectOptions& options);

}  // namespace tern::client
