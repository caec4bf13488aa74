#pragma once

#include "tern/error.h"

#include "client/wait.h"
#include "net/fd.h"
#include "net/resolver.h"

namespace tern::client {

/// Connects to the first of `addresses` that accepts. The addresses are tried in order and side by
/// side: the next one begins after 250 ms, or at once if all earlier ones have failed. Errors: the
/// error of the last address, or handshake_timeout at `deadline`; the text names every address that
/// was tried. Throws std::bad_alloc. RFC 8305 §5.
Result<net::Fd> connect_any(const net::Addresses& addresses, Clock::time_point deadline);

}  // namespace tern::client
