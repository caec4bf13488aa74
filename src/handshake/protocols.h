#pragma once

#include "tern/http.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tern::handshake {

/// More subprotocols than this in one request make its list invalid: they are compared in pairs.
inline constexpr std::size_t max_protocols = 64;

/// Whether all Sec-WebSocket-Protocol lines together are a list of distinct tokens; no such line is
/// fine. RFC 6455 §4.1 step 10, §4.3.
bool valid_protocol_list(std::span<const HeaderField> fields) noexcept;

/// Why these cannot be offered or accepted as subprotocols, naming the first that cannot; empty:
/// they can. They are distinct tokens, RFC 6455 §4.1 step 10. Throws std::bad_alloc.
std::string why_unfit_protocols(std::span<const std::string> protocols);

/// The first subprotocol of the request that is among `known` (compared with case, RFC 6455
/// §4.2.2); empty when there is none. Lifetime of the view: `known`.
std::string_view choose_protocol(const Request& request,
                                 std::span<const std::string> known) noexcept;

}  // namespace tern::handshake
