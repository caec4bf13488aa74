#pragma once

#include "tern/error.h"
#include "tern/http.h"

#include "http/url.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::client {

/// Returns whether the answer with this status sends the client elsewhere: 301, 302, 303, 307, 308.
/// RFC 9110 §15.4.
bool is_redirect(int status) noexcept;

/// Resolves the Location of a redirect against the URL that was asked for (RFC 3986 §5.2). http
/// becomes ws, and https becomes wss; the fragment is dropped.
/// Errors: Errc::redirect_refused with the reason, if the location is empty or malformed, has
/// another scheme or user information, or leads from wss to ws. Throws std::bad_alloc.
Result<http::Url> follow(const http::Url& from, std::string_view location);

/// Returns whether both URLs have the same scheme, host and port (RFC 6454 §5).
bool is_same_origin(const http::Url& a, const http::Url& b) noexcept;

/// Returns the header fields of the application that a request to another origin may carry: only
/// Origin and User-Agent, because any other may hold a secret. Throws std::bad_alloc.
std::vector<std::pair<std::string, std::string>> fields_for_other_origin(
    const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace tern::client
