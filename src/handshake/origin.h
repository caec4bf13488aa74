#pragma once

#include "tern/http.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tern::handshake {

/// How the request came. It decides which scheme a page of this very server has.
enum class Security : std::uint8_t { plain, tls };

/// Why this entry of a list of allowed origins can fit no Origin field, and what would: behind the
/// entry it makes a sentence. Empty: it can. Throws std::bad_alloc.
std::string why_no_origin(std::string_view entry);

/// Whether the page that asks may have this connection, RFC 6455 §10.2. Browsers always say where a
/// page is from; a request without Origin is from a program, which could lie, and passes. Otherwise
/// the Origin must be that of a page of this server: its scheme is http (or ws) for `plain` and
/// https (or wss) for `tls`, host (in any case) and port are those of Host, and a port that is
/// absent on either side is the default of the scheme. Or the Origin is among `allowed`. An entry
/// of `allowed` is an origin in serialised form (RFC 6454 §6.2), e.g. "https://example.org"; scheme
/// and host compare in any case and a default port equals none. "*" is any Origin.
bool origin_passes(const Request& request, std::span<const std::string> allowed,
                   Security security) noexcept;

}  // namespace tern::handshake
