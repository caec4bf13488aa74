// The server's half of the opening handshake, RFC 6455 §4.2.
//
//   head parsed ─▶ check_request ─▶ route ─▶ check_upgrade ─▶ application ─▶ write_accept: 101
//        │               │            │            │               │
//        └───────────────┴────────────┴────────────┴───────────────┴─▶ refusal: 4xx, 5xx, close
//
// A plain GET of a WebSocket is answered 426 before its other faults are reported, because a person
// who opens the address in a browser should read that it needs a WebSocket. The checks after that
// begin with faults of the request itself and end with Origin, which is a policy of this server.
#include "handshake/server.h"

#include "handshake/accept.h"
#include "http/chars.h"
#include "http/response.h"
#include "http/token.h"

#include <array>

namespace tern::handshake {
namespace {

constexpr std::size_t usual_head_bytes = 256;  // of a 101: 166 and the agreed fields
constexpr std::size_t max_shown = 256;         // of text that the peer sent

enum class Version : std::uint8_t { ours, other, malformed };

// The field stands exactly once. Its value is 0-255 without leading zeros, RFC 6455 §4.3.
Version version_of(const Request& request) noexcept {
  const auto only = http::only(request.headers(), "Sec-WebSocket-Version");
  if (!only) return Version::malformed;
  const std::string_view text = *only;
  if (text == "13") return Version::ours;
  if (text.empty() || text.size() > 3 || !http::all(text, http::digit)) return Version::malformed;
  if (text.size() > 1 && text.front() == '0') return Version::malformed;
  return text.size() == 3 && text > "255" ? Version::malformed : Version::other;
}

// 1#( token *( ";" param ) ), RFC 6455 §9.1.
bool valid_extension_list(std::span<const HeaderField> fields) noexcept {
  constexpr std::string_view name = "Sec-WebSocket-Extensions";
  if (http::count(fields, name) == 0) return true;
  http::ListReader list(fields, name);
  bool any = false;
  while (const auto element = list.next()) {
    http::ParameterReader extension(*element);
    while (extension.next()) {
    }
    if (extension.malformed()) return false;
    any = true;
  }
  return any && !list.malformed();
}

bool offers(const Request& request, std::string_view protocol) noexcept {
  http::ListReader list(request.headers(), "Sec-WebSocket-Protocol");
  while (const auto offered = list.next()) {
    if (*offered == protocol) return true;
  }
  return false;
}

}  // namespace

std::optional<Errc> check_request(const Request& request, http::BodyFraming& body) noexcept {
  if (const auto fault = http::check_host(request)) return fault;
  return http::read_framing(request, body);
}

std::optional<Errc> check_upgrade(const Request& request,
                                  std::span<const std::string> allowed_origins,
                                  Site site) noexcept {
  const std::span<const HeaderField> fields = request.headers();
  if (request.method() != "GET") return Errc::method_not_allowed;
  if (request.minor_version() == 0) return Errc::upgrade_required;
  if (!http::list_contains(fields, "Upgrade", "websocket")) return Errc::upgrade_required;
  if (!http::list_contains(fields, "Connection", "Upgrade")) return Errc::upgrade_header_invalid;
  if (version_of(request) != Version::ours) return Errc::version_unsupported;
  const auto key = http::only(fields, "Sec-WebSocket-Key");
  if (!key || !is_key(*key)) return Errc::key_invalid;
  if (!valid_protocol_list(fields)) return Errc::protocol_list_invalid;
  if (!valid_extension_list(fields)) return Errc::extension_list_invalid;
  if (!origin_passes(request, allowed_origins, site)) return Errc::origin_refused;
  return {};
}

int refusal_status(Errc errc, const Request& request) noexcept {
  switch (errc) {
    case Errc::http_malformed:
    case Errc::host_invalid:
    case Errc::request_with_body:
    case Errc::body_malformed:
    case Errc::upgrade_header_invalid:
    case Errc::key_invalid:
    case Errc::protocol_list_invalid:
    case Errc::extension_list_invalid:
      return 400;
    case Errc::version_unsupported:
      return version_of(request) == Version::other ? 426 : 400;  // RFC 6455 §4.2.1, §4.4
    case Errc::origin_refused:
      return 403;
    case Errc::route_not_found:
      return 404;
    case Errc::method_not_allowed:
      return 405;
    case Errc::handshake_timeout:
    case Errc::body_timeout:
      return 408;
    case Errc::body_too_big:
      return 413;
    case Errc::request_line_too_long:
      return 414;
    case Errc::upgrade_required:
      return 426;
    case Errc::head_too_big:
    case Errc::too_many_header_fields:
      return 431;
    case Errc::transfer_coding_unsupported:
      return 501;
    case Errc::overloaded:
      return 503;
    case Errc::http_version_unsupported:
      return 505;
    default:
      return 500;
  }
}

std::string explain(Errc errc, const Request& request, Site site) {
  if (errc == Errc::upgrade_required && request.minor_version() == 0 &&
      request.has_header("Upgrade")) {
    return "this is a WebSocket, and HTTP/1.0 cannot switch to it: a proxy on the way must pass on "
           "Upgrade and Connection by HTTP/1.1, as nginx does with \"proxy_http_version 1.1\"";
  }
  const std::size_t origins = http::count(request.headers(), "Origin");
  if (errc != Errc::origin_refused || origins == 0) return make_error_code(errc).message();
  if (origins > 1) return "there is more than one Origin";
  const std::string scheme = site.security == Security::plain ? "http" : "https";
  return "the Origin \"" + std::string(request.header("Origin").substr(0, max_shown)) +
         "\" is not allowed: the expected one is " + scheme + "://" +
         std::string(request.host().substr(0, max_shown)) + ", and allowed_origins can list others";
}

Response refusal(Errc errc, const Request& request, Site site) {
  const int status = refusal_status(errc, request);
  // The cause of our own failure is for the log only; the peer receives the status.
  if (status == 500) return Response::status(500);
  return Response::status(status, explain(errc, request, site));
}

std::span<const HeaderField> refusal_fields(Errc errc, Resource resource) noexcept {
  static constexpr std::array<HeaderField, 2> upgrade{
      {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}}};
  static constexpr std::array<HeaderField, 1> allow_get{{{"Allow", "GET"}}};
  static constexpr std::array<HeaderField, 1> allow_page{{{"Allow", "GET, HEAD, OPTIONS"}}};
  static constexpr std::array<HeaderField, 1> retry{{{"Retry-After", "1"}}};
  switch (errc) {
    case Errc::upgrade_required:
    case Errc::version_unsupported:
      return upgrade;
    case Errc::method_not_allowed:
      return resource == Resource::page ? allow_page : allow_get;
    case Errc::overloaded:
      return retry;
    default:
      return {};
  }
}

std::optional<Errc> write_accept(std::string& out, const Request& request,
                                 std::string_view protocol,
                                 std::span<const std::pair<std::string, std::string>> extra_headers,
                                 std::string_view extensions, std::string_view date_line) {
  if (!protocol.empty() && !offers(request, protocol)) return Errc::protocol_not_offered;
  const auto accept = accept_for(request.header("Sec-WebSocket-Key"));
  if (!accept) return Errc::no_memory;
  http::Draft draft(out);
  out.reserve(out.size() + usual_head_bytes);
  out.append(
      "HTTP/1.1 101 Switching Protocols\r\n"
      "Upgrade: websocket\r\n"
      "Connection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ");
  out.append(accept->data(), accept->size()).append("\r\n");
  bool valid = true;
  out.append(date_line);
  if (!protocol.empty()) valid &= http::append_field(out, "Sec-WebSocket-Protocol", protocol);
  if (!extensions.empty()) {
    valid &= http::append_field(out, "Sec-WebSocket-Extensions", extensions);
  }
  if (!valid || !http::append_fields(out, extra_headers)) return Errc::invalid_header;
  out.append("\r\n");
  draft.keep();
  return {};
}

}  // namespace tern::handshake
