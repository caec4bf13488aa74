#pragma once

#include "tern/error.h"
#include "tern/http.h"
#include "tern/options.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

// The client's half of the opening handshake, RFC 6455 §4.1.

namespace tern::handshake {

/// Appends the request, RFC 6455 §4.1. `key24` is the base64 form of 16 random bytes, `extensions`
/// what is offered (deflate::offer_text), empty when that is nothing. Nothing
/// returned means done; else nothing is appended: url_invalid (host or target) or invalid_header
/// (a subprotocol that is no token or there twice, a field that may not be sent).
/// Throws std::bad_alloc.
std::optional<Errc> write_request(std::string& out, const ClientRequest& request,
                                  std::string_view key24, std::string_view extensions = {});

/// Why write_request would refuse this request, naming the part; empty: it would not. Throws
/// std::bad_alloc.
std::string why_unfit(const ClientRequest& request);

/// Whether another answer follows on the same connection: 1xx but 101, RFC 9110 §15.2. It is to be
/// skipped, whatever it says.
constexpr bool is_interim(int status) noexcept {
  return status >= 100 && status < 200 && status != 101;
}

/// Whether the answer opens the WebSocket, RFC 6455 §4.1. Faults: upgrade_refused (not 101),
/// http_version_unsupported, upgrade_header_invalid, accept_invalid, extension_not_offered,
/// extension_answer_invalid, protocol_not_offered. `chosen` becomes the subprotocol, empty when
/// none. `deflate` is what was offered of compression, null when that was nothing; then `agreed`
/// may be null, else it becomes what was agreed on. Lifetime of `chosen`: `offered_protocols`.
std::optional<Errc> check_response(const ResponseHead& head, std::string_view key24,
                                   std::span<const std::string> offered_protocols,
                                   std::string_view& chosen, const Deflate* deflate = nullptr,
                                   std::optional<DeflateAgreement>* agreed = nullptr) noexcept;

}  // namespace tern::handshake
