// The rules that every request must follow: it names its host, and it has no body. If two servers
// on the way of a request disagree about these rules, an attacker can smuggle a request past one of
// them.
#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include <optional>

namespace tern::http {

/// Checks that there is exactly one Host field and that its value is a valid host with an optional
/// port; else returns host_invalid. An empty Host is refused: the grammar allows it, but no request
/// to a server like this one has it. A request of HTTP/1.0 may have no Host, because HTTP/1.0 does
/// not define the field. RFC 9112 §3.2.
std::optional<Errc> check_host(const Request& request) noexcept;

/// Checks that the request has no body. Transfer-Encoding, or a Content-Length above 0, is
/// request_with_body. Both fields together, a length that is not a number, and lengths that differ
/// are http_malformed. "Content-Length: 0" passes. RFC 9112 §6.
std::optional<Errc> check_body(const Request& request) noexcept;

}  // namespace tern::http
