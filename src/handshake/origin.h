#pragma once

#include "tern/http.h"

#include <span>
#include <string>

namespace tern::handshake {

/// Whether the page that asks may have this connection, RFC 6455 §10.2. Browsers always say where a
/// page is from; a request without Origin is from a program, which could lie, and passes. Otherwise
/// host (in any case) and port must be those of Host, a port that is absent on either side being
/// the default of the Origin's scheme; or the Origin must be among `allowed`. An entry of `allowed`
/// is an origin in serialised form (RFC 6454 §6.2), e.g. "https://example.org"; scheme and host
/// compare in any case and a default port equals none. "*" is any Origin.
bool origin_passes(const Request& request, std::span<const std::string> allowed) noexcept;

}  // namespace tern::handshake
