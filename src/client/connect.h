#pragma once

#include "tern/error.h"

#include "client/wait.h"
#include "net/fd.h"
#include "net/resolver.h"

namespace tern::client {

/// Connects to the first of `addresses` that answers: they are tried in order, 250 ms apart or as
/// soon as all tried ones have failed, side by side (RFC 8305 §5), so that one that drops packets
/// takes little time from the others. Errors: the last address' own, handshake_timeout at
/// `deadline`; the text names every address. Throws std::bad_alloc.
Result<net::Fd> connect_any(const net::Addresses& addresses, Clock::time_point deadline);

}  // namespace tern::client
