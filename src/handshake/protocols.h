#pragma once

#include "tern/http.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tern::handshake {

/// A list of more subprotocols in one request is invalid. The number is bounded, because the names
/// are compared in pairs.
inline constexpr std::size_t max_protocols = 64;

/// Whether all Sec-WebSocket-Protocol lines together are a list of distinct tokens; true if there
/// is no such line. RFC 6455 §4.1 step 10, §4.3.
bool valid_protocol_list(std::span<const HeaderField> fields) noexcept;

/// Why these names cannot be offered or accepted as subprotocols: they must be distinct tokens. The
/// text names the first wrong one; it is empty if all are right. Throws std::bad_alloc. RFC 6455
/// §4.1 step 10.
std::string why_unfit_protocols(std::span<const std::string> protocols);

/// The first subprotocol of the request that is one of `known`; empty if there is none. The case of
/// letters counts. Lifetime of the view: `known`. RFC 6455 §4.2.2.
std::string_view choose_protocol(const Request& request,
                                 std::span<const std::string> known) noexcept;

}  // namespace tern::handshake
