// The server's half of the opening handshake, RFC 6455 §4.2, as functions from a request to its
// answer.
#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include "handshake/origin.h"
#include "handshake/protocols.h"
#include "http/framing.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tern::handshake {

/// Checks the rules for every request, of a page or a WebSocket: Host and the framing of a body,
/// which it reports (see http/framing.h). The Errc that it returns is answered with `refusal`.
std::optional<Errc> check_request(const Request& request, http::BodyFraming& body) noexcept;

/// Checks the rules for an upgrade, in this order: method, version of HTTP and Upgrade (HTTP/1.0
/// has no upgrade, RFC 9110 §7.8), Connection, version, key, subprotocols, extensions, Origin.
/// `allowed_origins` and `site`: see origin_passes. RFC 6455 §4.2.1.
std::optional<Errc> check_upgrade(const Request& request,
                                  std::span<const std::string> allowed_origins,
                                  Site site = Security::plain) noexcept;

/// Returns the HTTP status that refuses a request for this cause; 500 if the peer is not the cause.
/// For version_unsupported the request decides between 400 and 426; without a request it is 400.
int refusal_status(Errc errc, const Request& request = {}) noexcept;

/// Explains the refusal to people: the text of the Errc or, if it depends on the request, a
/// sentence about this request. Throws std::bad_alloc.
std::string explain(Errc errc, const Request& request, Site site = Security::plain);

/// Returns a response of that status, with the sentence of explain() as its body. Write it with
/// refusal_fields and close_connection, because the bytes behind a refused request are never
/// parsed. Throws std::bad_alloc.
Response refusal(Errc errc, const Request& request = {}, Site site = Security::plain);

/// The kind of resource that was requested. It decides which methods a 405 names.
enum class Resource : std::uint8_t { websocket, page };

/// The fields that a refusal must have: Upgrade and Sec-WebSocket-Version if another handshake
/// could succeed (426, and 400 for a bad version; RFC 6455 §4.4), Allow, Retry-After.
std::span<const HeaderField> refusal_fields(Errc errc,
                                            Resource resource = Resource::websocket) noexcept;

/// Appends the 101 that opens the WebSocket, for a request that check_upgrade accepted. `protocol`
/// is empty or one that the request offers (choose_protocol). `extensions` is the answer to the
/// offered extensions; empty if none is accepted. `date_line` is as for http::write_response.
/// Returns nothing on success. Else appends nothing and returns invalid_header (a field of the
/// application may not be sent), protocol_not_offered, or no_memory (SHA-1 failed). Throws
/// std::bad_alloc. RFC 6455 §4.2.2.
std::optional<Errc> write_accept(std::string& out, const Request& request,
                                 std::string_view protocol,
                                 std::span<const std::pair<std::string, std::string>> extra_headers,
                                 std::string_view extensions = {}, std::string_view date_line = {});

}  // namespace tern::handshake
