// Checks the Host field and the fields that tell where a body ends. Each rule about a body refuses
// a request that some server on the way could read in another way:
//
//   - Content-Length with Transfer-Encoding: an attempt to smuggle a request (RFC 9112 §6.3).
//   - Two Content-Length fields. §6.3 allows equal ones; tern refuses them, too.
//   - A length with other characters than digits (§6.2).
//   - Two Transfer-Encoding fields, because a server that reads only one of them sees another body.
//   - Transfer-Encoding in HTTP/1.0: the framing is faulty (§6.1).
//   - "chunked" twice, or not as the last coding: the end of the body is not known (§6.1, §6.3).
//   - A coding besides "chunked": 501, because tern cannot decode the body (§6.1).
#include "http/framing.h"

#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"

#include <charconv>

namespace tern::http {
namespace {

std::optional<Errc> read_codings(const Request& request, BodyFraming& framing) noexcept {
  if (request.minor_version() == 0) return Errc::http_malformed;
  if (!only(request.headers(), "Transfer-Encoding")) return Errc::http_malformed;
  ListReader codings(request.headers(), "Transfer-Encoding");
  unsigned others = 0;
  bool chunked = false;
  while (const auto coding = codings.next()) {
    if (chunked) return Errc::http_malformed;
    chunked = iequals(*coding, "chunked");
    if (!chunked) ++others;
  }
  if (codings.malformed() || !chunked) return Errc::http_malformed;
  if (others > 0) return Errc::transfer_coding_unsupported;
  framing.kind = BodyFraming::Kind::chunked;
  return {};
}

std::optional<Errc> read_length(const Request& request, BodyFraming& framing) noexcept {
  const auto length = only(request.headers(), "Content-Length");
  if (!length || length->empty() || !all(*length, digit)) return Errc::http_malformed;
  const char* const end = length->data() + length->size();
  if (std::from_chars(length->data(), end, framing.bytes).ec != std::errc()) {
    framing.bytes = UINT64_MAX;
  }
  if (framing.bytes != 0) framing.kind = BodyFraming::Kind::counted;
  return {};
}

}  // namespace

std::optional<Errc> check_host(const Request& request) noexcept {
  if (request.minor_version() == 0 && !request.has_header("Host")) return {};
  const auto host = only(request.headers(), "Host");
  if (!host || !parse_authority(*host)) return Errc::host_invalid;
  return {};
}

std::optional<Errc> read_framing(const Request& request, BodyFraming& framing) noexcept {
  framing = {};
  const bool has_length = request.has_header("Content-Length");
  if (request.has_header("Transfer-Encoding")) {
    return has_length ? Errc::http_malformed : read_codings(request, framing);
  }
  return has_length ? read_length(request, framing) : std::nullopt;
}

}  // namespace tern::http
