#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include "handshake/origin.h"
#include "handshake/protocols.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

// The server's half of the opening handshake, RFC 6455 §4.2, as functions from what came to what is
// answered.

namespace tern::handshake {

/// The rules for every request, for a page or a WebSocket: Host and body (see http/framing.h).
/// What is returned is refused with `refusal`.
std::optional<Errc> check_request(const Request& request) noexcept;

/// The rules for an upgrade, in this order: method, version of HTTP and Upgrade (HTTP/1.0 knows no
/// upgrade, RFC 9110 §7.8), Connection, version, key,
/// subprotocols, extensions, Origin. RFC 6455 §4.2.1. `allowed_origins` and `security`: see
/// origin_passes.
std::optional<Errc> check_upgrade(const Request& request,
                                  std::span<const std::string> allowed_origins,
                                  Security security = Security::plain) noexcept;

/// The HTTP status that refuses for this reason; 500 for what no peer is to blame for.
/// The request decides between 400 and 426 for version_unsupported; without it that is 400.
int refusal_status(Errc errc, const Request& request = {}) noexcept;

/// Says for people why that is refused: the text of the Errc or, where the request makes the
/// difference, a sentence about this request. Throws std::bad_alloc.
std::string explain(Errc errc, const Request& request, Security security = Security::plain);

/// An answer of that status, with one line of text that says what is wrong (explain).
/// Throws std::bad_alloc. Write it with refusal_fields and close_connection: what stands behind a
/// refused request is never parsed.
Response refusal(Errc errc, const Request& request = {}, Security security = Security::plain);

/// What was asked for, which decides the methods that 405 names.
enum class Resource : std::uint8_t { websocket, page };

/// The fields that must go with a refusal: Upgrade and Sec-WebSocket-Version where another
/// handshake would do (426, and 400 for a bad version; RFC 6455 §4.4), Allow, Retry-After.
std::span<const HeaderField> refusal_fields(Errc errc,
                                            Resource resource = Resource::websocket) noexcept;

/// Appends the 101 that opens the WebSocket, RFC 6455 §4.2.2, for a request that check_upgrade let
/// pass. `protocol` is empty or one that the request offers (choose_protocol). Nothing returned
/// means done; else nothing is appended: invalid_header (a field of the application may not be
/// sent), protocol_not_offered, or no_memory (SHA-1 failed). `extensions` is the answer to what
/// the request offers, empty when that is nothing; `date_line` as for http::write_response. Throws
/// std::bad_alloc.
std::optional<Errc> write_accept(std::string& out, const Request& request,
                                 std::string_view protocol,
                                 std::span<const std::pair<std::string, std::string>> extra_headers,
                                 std::string_view extensions = {}, std::string_view date_line = {});

}  // namespace tern::handshake
