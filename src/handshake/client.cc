// The client's half of the opening handshake, RFC 6455 §4.1.
//
// The response must prove that the server understood the request: a server that only echoes, caches
// or upgrades to another protocol does not send the right Sec-WebSocket-Accept. The server may
// choose only what was offered, because otherwise both sides would speak different protocols
// afterwards.
#include "handshake/client.h"

#include "deflate/params.h"
#include "handshake/accept.h"
#include "handshake/protocols.h"
#include "http/authority.h"
#include "http/response.h"
#include "http/token.h"

#include <algorithm>

namespace tern::handshake {
namespace {

// Joins the offered subprotocols to one list; returns nothing if one is not a token or occurs
// twice, §4.1.
std::optional<std::string> protocol_list(std::span<const std::string> protocols) {
  std::string list;
  for (auto it = protocols.begin(); it != protocols.end(); ++it) {
    if (!http::is_token(*it) || std::find(protocols.begin(), it, *it) != it) return {};
    if (!list.empty()) list += ", ";
    list += *it;
  }
  return list;
}

bool valid_fields_of_application(
    std::span<const std::pair<std::string, std::string>> fields) noexcept {
  return std::ranges::none_of(fields,
                              [](const auto& field) { return http::iequals(field.first, "Host"); });
}

}  // namespace

std::optional<Errc> write_request(std::string& out, const ClientRequest& request,
                                  std::string_view key24, std::string_view extensions) {
  if (!http::parse_authority(request.host)) return Errc::url_invalid;
  if (!http::is_origin_form(request.target)) return Errc::url_invalid;
  if (!valid_fields_of_application(request.headers)) return Errc::invalid_header;
  const auto protocols = protocol_list(request.protocols);
  if (!protocols) return Errc::invalid_header;

  http::Draft draft(out);
  out.append("GET ").append(request.target).append(" HTTP/1.1\r\n");
  bool valid = http::append_field(out, "Host", request.host);
  valid &= http::append_field(out, "Upgrade", "websocket");
  valid &= http::append_field(out, "Connection", "Upgrade");
  valid &= http::append_field(out, "Sec-WebSocket-Key", key24);
  valid &= http::append_field(out, "Sec-WebSocket-Version", "13");
  if (!protocols->empty()) valid &= http::append_field(out, "Sec-WebSocket-Protocol", *protocols);
  if (!extensions.empty()) {
    valid &= http::append_field(out, "Sec-WebSocket-Extensions", extensions);
  }
  if (!valid || !http::append_fields(out, request.headers)) return Errc::invalid_header;
  out.append("\r\n");
  draft.keep();
  return {};
}

std::string why_unfit(const ClientRequest& request) {
  if (!http::parse_authority(request.host)) return "the host is malformed";
  if (!http::is_origin_form(request.target)) return "the target is malformed";
  if (std::string why = why_unfit_protocols(request.protocols); !why.empty()) return why;
  if (!valid_fields_of_application(request.headers)) {
    return "header field \"Host\": tern writes this field itself";
  }
  return http::why_unfit(request.headers);
}

std::optional<Errc> check_response(const ResponseHead& head, std::string_view key24,
                                   std::span<const std::string> offered_protocols,
                                   std::string_view& chosen, const Deflate* deflate,
                                   std::optional<DeflateAgreement>* agreed) noexcept {
  chosen = {};
  if (head.status != 101) return Errc::upgrade_refused;
  if (head.minor_version != 1) return Errc::http_version_unsupported;
  // §4.1 step 2: the whole value of Upgrade is "websocket". Step 3: Connection is a list with the
  // token.
  if (http::count(head.fields, "Upgrade") != 1 ||
      !http::iequals(head.header("Upgrade"), "websocket") ||
      !http::list_contains(head.fields, "Connection", "Upgrade")) {
    return Errc::upgrade_header_invalid;
  }
  const auto accept = accept_for(key24);
  if (!accept) return Errc::no_memory;
  if (http::count(head.fields, "Sec-WebSocket-Accept") != 1 ||
      head.header("Sec-WebSocket-Accept") != std::string_view(accept->data(), accept->size())) {
    return Errc::accept_invalid;
  }
  std::optional<DeflateAgreement> none;
  if (const auto errc = deflate::check_answer(head.fields, deflate, agreed ? *agreed : none)) {
    return errc;
  }
  const std::size_t protocols = http::count(head.fields, "Sec-WebSocket-Protocol");
  if (protocols == 0) return {};
  const auto match = std::ranges::find(offered_protocols, head.header("Sec-WebSocket-Protocol"));
  if (protocols > 1 || match == offered_protocols.end()) return Errc::protocol_not_offered;
  chosen = *match;
  return {};
}

}  // namespace tern::handshake
