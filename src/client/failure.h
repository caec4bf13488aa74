#pragma once

#include "tern/engine.h"
#include "tern/error.h"

#include "net/transport.h"

#include <string_view>
#include <system_error>

namespace tern::client {

/// Returns the error of an opening handshake that failed. It holds the answer of the server, or the
/// reason for which no answer came. `engine` has just reported its end. `url` is for people;
/// `transport` is null if TCP has ended. Throws std::bad_alloc.
Error handshake_error(const Engine& engine, std::string_view url, const net::Transport* transport);
/// Returns whether the handshake ended in TLS with the server, before the upgrade.
bool ended_in_tls(std::error_code why, const net::Transport* transport) noexcept;

}  // namespace tern::client
