// The negotiation of compression, RFC 7692 §5, §7.1:
//
//   offer    permessage-deflate; client_max_window_bits; server_max_window_bits=10,
//            permessage-deflate; client_no_context_takeover                        (a list)
//   answer   permessage-deflate; server_max_window_bits=10                         (one, or none)
//
// server_… applies to messages of the server, client_… to messages of the client. In an offer,
// client_max_window_bits may have no value: the client then supports the limit, and only in this
// case an answer may set one.
//
// Both sides parse the same four parameters by the same rules, but they judge them differently. A
// server ignores an offer that it does not understand. A client fails the handshake, because the
// server believes that both agree.
#include "deflate/params.h"

#include "http/token.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tern::deflate {
namespace {

constexpr std::string_view field_name = "Sec-WebSocket-Extensions";
constexpr std::string_view extension = "permessage-deflate";

// One element of the list. 0: the parameter is absent.
struct Parameters {
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  bool client_bits_named = false;
  std::uint8_t server_bits = 0;
  std::uint8_t client_bits = 0;  // also 0 if it has no value
};

// Parses a window size: 8 to 15, decimal, no leading zero (§7.1.2). A quoted value may contain
// backslashes (RFC 6455 §9.1). Returns 0 for any other text.
std::uint8_t window_bits(std::string_view value) noexcept {
  unsigned bits = 0;
  std::size_t digits = 0;
  for (const char c : value) {
    if (c == '\\') continue;
    if (c < '0' || c > '9' || (digits == 0 && c == '0') || ++digits > 2) return 0;
    bits = bits * 10 + static_cast<unsigned>(c - '0');
  }
  return bits >= 8 && bits <= 15 ? static_cast<std::uint8_t>(bits) : std::uint8_t{0};
}

// Sets a parameter that has no value and may occur once.
bool set_flag(bool& flag, const http::Parameter& parameter) noexcept {
  return !parameter.has_value && !std::exchange(flag, true);
}

bool set_parameter(Parameters& to, const http::Parameter& parameter) noexcept {
  if (parameter.name == "server_no_context_takeover") {
    return set_flag(to.server_no_takeover, parameter);
  }
  if (parameter.name == "client_no_context_takeover") {
    return set_flag(to.client_no_takeover, parameter);
  }
  if (parameter.name == "server_max_window_bits") {
    if (to.server_bits != 0) return false;
    to.server_bits = window_bits(parameter.value);
    return to.server_bits != 0;
  }
  if (parameter.name == "client_max_window_bits") {
    if (std::exchange(to.client_bits_named, true)) return false;
    if (!parameter.has_value) return true;
    to.client_bits = window_bits(parameter.value);
    return to.client_bits != 0;
  }
  return false;
}

// Returns nothing for parameters that are unknown, malformed or repeated.
std::optional<Parameters> read_parameters(http::ParameterReader& reader) noexcept {
  Parameters parameters;
  std::size_t count = 0;
  while (const auto parameter = reader.next()) {
    if (++count > max_parameters || !set_parameter(parameters, *parameter)) return {};
  }
  if (reader.malformed()) return {};
  return parameters;
}

// Answers one offer, §7.1.1, §7.1.2; returns nothing to decline it.
std::optional<Acceptance> accept_one(const Parameters& offer, const Deflate& options) noexcept {
  const int bits =
      std::min<int>(options.window_bits, offer.server_bits == 0 ? 15 : offer.server_bits);
  if (bits < min_window_bits) return {};
  Acceptance acceptance;
  DeflateAgreement& agreed = acceptance.agreed;
  agreed.window_bits = static_cast<std::uint8_t>(bits);
  acceptance.names_window = bits < max_window_bits || offer.server_bits != 0;
  agreed.takeover = options.takeover && !offer.server_no_takeover;
  agreed.peer_takeover = options.peer_takeover && !offer.client_no_takeover;
  const int hint = offer.client_bits == 0 ? 15 : offer.client_bits;
  if (hint <= options.peer_window_bits) {
    agreed.peer_window_bits = static_cast<std::uint8_t>(hint);
    acceptance.names_peer_window = offer.client_bits != 0;
  } else if (offer.client_bits_named) {
    agreed.peer_window_bits = static_cast<std::uint8_t>(options.peer_window_bits);
    acceptance.names_peer_window = true;
  } else {
    agreed.peer_takeover = false;
  }
  return acceptance;
}

void append_parameter(std::string& out, std::string_view name, int value = 0) {
  out.append("; ").append(name);
  if (value != 0) out.append("=").append(std::to_string(value));
}

void append_offer(std::string& out, const Deflate& options, int server_bits, bool peer_takeover) {
  out.append(extension);
  append_parameter(out, "client_max_window_bits",
                   options.window_bits < max_window_bits ? options.window_bits : 0);
  if (server_bits < max_window_bits) append_parameter(out, "server_max_window_bits", server_bits);
  if (!options.takeover) append_parameter(out, "client_no_context_takeover");
  if (!peer_takeover) append_parameter(out, "server_no_context_takeover");
}

// Whether this answer fits an offer that limits the window of the server to `server_bits`.
bool fits(const Parameters& answer, int server_bits, bool peer_takeover) noexcept {
  if (!peer_takeover && !answer.server_no_takeover) return false;
  return server_bits == max_window_bits ||
         (answer.server_bits != 0 && answer.server_bits <= server_bits);
}

}  // namespace

std::optional<Deflate> usable(const std::optional<Deflate>& options) noexcept {
  if (!options || options->level <= 0) return {};
  Deflate result = *options;
  result.level = std::min(result.level, 9);
  result.window_bits = std::clamp(result.window_bits, min_window_bits, max_window_bits);
  result.peer_window_bits = std::clamp(result.peer_window_bits, min_window_bits, max_window_bits);
  result.memory_level = std::clamp(result.memory_level, 1, 9);
  return result;
}

std::optional<Acceptance> accept_offer(std::span<const HeaderField> fields,
                                       const Deflate& options) noexcept {
  http::ListReader list(fields, field_name);
  for (std::size_t offers = 0; offers < max_offers; ++offers) {
    const auto element = list.next();
    if (!element) break;
    http::ParameterReader reader(*element);
    if (reader.name() != extension) continue;
    const auto offer = read_parameters(reader);
    if (!offer) continue;
    if (const auto accepted = accept_one(*offer, options)) return accepted;
  }
  return {};
}

std::string answer_text(const Acceptance& acceptance) {
  const DeflateAgreement& agreed = acceptance.agreed;
  std::string out(extension);
  if (!agreed.takeover) append_parameter(out, "server_no_context_takeover");
  if (!agreed.peer_takeover) append_parameter(out, "client_no_context_takeover");
  if (acceptance.names_window) {
    append_parameter(out, "server_max_window_bits", agreed.window_bits);
  }
  if (acceptance.names_peer_window) {
    append_parameter(out, "client_max_window_bits", agreed.peer_window_bits);
  }
  return out;
}

std::string offer_text(const Deflate& options) {
  std::string out;
  append_offer(out, options, options.peer_window_bits, options.peer_takeover);
  if (options.peer_window_bits < max_window_bits) {
    out.append(", ");
    append_offer(out, options, max_window_bits, false);
  }
  return out;
}

std::optional<Errc> check_answer(std::span<const HeaderField> fields, const Deflate* options,
                                 std::optional<DeflateAgreement>& agreed) noexcept {
  agreed.reset();
  if (http::count(fields, field_name) == 0) return {};
  if (options == nullptr) return Errc::extension_not_offered;
  http::ListReader list(fields, field_name);
  const auto element = list.next();
  if (!element) return Errc::extension_answer_invalid;
  http::ParameterReader reader(*element);
  if (reader.name() != extension) return Errc::extension_not_offered;
  const auto answer = read_parameters(reader);
  const bool alone = !list.next() && !list.malformed();
  if (!answer || !alone) return Errc::extension_answer_invalid;
  if (!fits(*answer, options->peer_window_bits, options->peer_takeover) &&
      !fits(*answer, max_window_bits, false)) {
    return Errc::extension_answer_invalid;
  }
  // §7.1.2.2: the value must be there and must not exceed the one that we named.
  const int bits = answer->client_bits_named ? answer->client_bits : options->window_bits;
  if (bits == 0 || bits > options->window_bits) return Errc::extension_answer_invalid;
  DeflateAgreement& result = agreed.emplace();
  result.window_bits = static_cast<std::uint8_t>(bits < min_window_bits ? 0 : bits);
  result.peer_window_bits = answer->server_bits != 0 ? answer->server_bits : std::uint8_t{15};
  result.takeover = options->takeover && !answer->client_no_takeover && result.window_bits != 0;
  result.peer_takeover = !answer->server_no_takeover;
  return {};
}

}  // namespace tern::deflate
