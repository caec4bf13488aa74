// Checks the Host field and the body fields of a request. A request with a body is refused and its
// body is not read, because tern serves no request that has one: each request ends with its head.
#include "http/framing.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"

namespace tern::http {

std::optional<Errc> check_host(const Request& request) noexcept {
  if (request.minor_version() == 0 && !request.has_header("Host")) return {};
  const auto host = only(request.headers(), "Host");
  if (!host || !parse_authority(*host)) return Errc::host_invalid;
  return {};
}

std::optional<Errc> check_body(const Request& request) noexcept {
  const bool has_length = request.has_header("Content-Length");
  if (request.has_header("Transfer-Encoding")) {
    // RFC 9112 §6.3: a request with both fields is handled as an error.
    return has_length ? Errc::http_malformed : Errc::request_with_body;
  }
  if (!has_length) return {};
  const std::string_view length = request.header("Content-Length");
  if (length.empty() || !all(length, digit)) return Errc::http_malformed;
  for (const HeaderField& field : request.headers()) {
    if (iequals(field.name, "Content-Length") && field.value != length) return Errc::http_malformed;
  }
  // Only zero is allowed. So the digits are not converted to a number, and nothing can overflow.
  if (length.find_first_not_of('0') != std::string_view::npos) return Errc::request_with_body;
  return {};
}

}  // namespace tern::http
