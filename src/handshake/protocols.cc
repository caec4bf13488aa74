// Checks and chooses subprotocols. The names of a list are compared in pairs, without an
// allocation; max_protocols bounds the work that a request can cause.
#include "handshake/protocols.h"

#include "http/token.h"

#include <algorithm>
#include <array>

namespace tern::handshake {

bool valid_protocol_list(std::span<const HeaderField> fields) noexcept {
  constexpr std::string_view name = "Sec-WebSocket-Protocol";
  if (http::count(fields, name) == 0) return true;
  std::array<std::string_view, max_protocols> seen;
  std::size_t used = 0;
  http::ListReader list(fields, name);
  while (const auto protocol = list.next()) {
    const auto end = seen.begin() + used;
    if (!http::is_token(*protocol) || std::find(seen.begin(), end, *protocol) != end) return false;
    if (used == seen.size()) return false;
    seen[used++] = *protocol;
  }
  return used != 0 && !list.malformed();
}

std::string why_unfit_protocols(std::span<const std::string> protocols) {
  for (auto it = protocols.begin(); it != protocols.end(); ++it) {
    const std::string quoted = "subprotocol \"" + *it + '"';
    if (!http::is_token(*it)) return quoted + ": it is no token (RFC 9110 §5.6.2)";
    if (std::find(protocols.begin(), it, *it) != it) return quoted + ": it occurs twice";
  }
  return {};
}

std::string_view choose_protocol(const Request& request,
                                 std::span<const std::string> known) noexcept {
  http::ListReader list(request.headers(), "Sec-WebSocket-Protocol");
  while (const auto protocol = list.next()) {
    const auto match = std::find(known.begin(), known.end(), *protocol);
    if (match != known.end()) return *match;
  }
  return {};
}

}  // namespace tern::handshake
