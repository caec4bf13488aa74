#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include <optional>

// What every request must satisfy, whatever it asks for: where it goes, and that its head is all of
// it. Two servers that disagree here can be played off against each other (request smuggling).

namespace tern::http {

/// Exactly one Host field with a valid, non-empty host and port, else host_invalid.
/// RFC 9112 §3.2; an empty Host is grammatical, but no request for a server like this has one.
/// HTTP/1.0 does not know the field: there it may be absent.
std::optional<Errc> check_host(const Request& request) noexcept;

/// No body: Transfer-Encoding or a Content-Length above 0 is request_with_body; both, or lengths
/// that are no number or differ, are http_malformed. "Content-Length: 0" passes. RFC 9112 §6.
std::optional<Errc> check_body(const Request& request) noexcept;

}  // namespace tern::http
