// The client's half of the opening handshake, RFC 6455 §4.1.
#pragma once

#include "tern/error.h"
#include "tern/http.h"
#include "tern/options.h"

#include "http/interim.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::handshake {

/// Appends the request. `key24` is the base64 form of 16 random bytes. `extensions` is the offer
/// (deflate::offer_text); empty if nothing is offered. Returns nothing on success. Else appends
/// nothing and returns url_invalid (host or target) or invalid_header (a subprotocol that is not a
/// token or occurs twice, or a field that may not be sent). Throws std::bad_alloc. RFC 6455 §4.1.
std::optional<Errc> write_request(std::string& out, const ClientRequest& request,
                                  std::string_view key24, std::string_view extensions = {});

/// Why write_request would refuse this request; the text names the part. Empty if it would not.
/// Throws std::bad_alloc.
std::string why_unfit(const ClientRequest& request);

using http::is_interim;

/// Checks whether the response opens the WebSocket. Returns nothing if it does, else
/// upgrade_refused (not 101), http_version_unsupported, upgrade_header_invalid, accept_invalid,
/// extension_not_offered, extension_answer_invalid or protocol_not_offered. `chosen` becomes the
/// subprotocol; empty if there is none. `deflate` is the offer of compression; null if there was
/// none. `agreed` becomes the agreement on compression; it may be null if `deflate` is null.
/// Lifetime of `chosen`: `offered_protocols`. RFC 6455 §4.1.
std::optional<Errc> check_response(const ResponseHead& head, std::string_view key24,
                                   std::span<const std::string> offered_protocols,
                                   std::string_view& chosen, const Deflate* deflate = nullptr,
                                   std::optional<DeflateAgreement>* agreed = nullptr) noexcept;

}  // namespace tern::handshake
