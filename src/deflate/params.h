// The negotiation of permessage-deflate, RFC 7692 §7.1, as functions of the fields of a head.
#pragma once

#include "tern/error.h"
#include "tern/http.h"
#include "tern/options.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tern::deflate {

/// zlib has no raw deflate with a window of 2^8 bytes, so we promise none: see accept_offer and
/// check_answer. It inflates such data.
inline constexpr int min_window_bits = 9;
inline constexpr int max_window_bits = 15;

/// What is looked at: offers beyond are not, and neither is an offer with more parameters.
inline constexpr std::size_t max_offers = 16;
inline constexpr std::size_t max_parameters = 16;

/// The options as they will be used: numbers within their bounds. Nothing when compression is off.
std::optional<Deflate> usable(const std::optional<Deflate>& options) noexcept;

/// What a server accepts.
struct Acceptance {
  DeflateAgreement agreed{};
  bool names_window = false;       // the answer has server_max_window_bits
  bool names_peer_window = false;  // the answer has client_max_window_bits
};

/// Server: the first offer of the request that can be kept, as agreed. Nothing when there is none:
/// an offer with an unknown, malformed, repeated or impossible parameter is passed over, and so is
/// one that wants our window below min_window_bits. The list's grammar was checked before.
/// A client that cannot limit its window to peer_window_bits gets no takeover, so that memory stays
/// what the options say.
std::optional<Acceptance> accept_offer(std::span<const HeaderField> fields,
                                       const Deflate& options) noexcept;
/// The value of Sec-WebSocket-Extensions in the answer. Throws std::bad_alloc.
std::string answer_text(const Acceptance& acceptance);

/// Client: the value of Sec-WebSocket-Extensions in the request. A second offer follows where the
/// first limits the server's window, for servers that cannot do that; it has no takeover.
/// Throws std::bad_alloc.
std::string offer_text(const Deflate& options);
/// Client: whether the server's answer fits offer_text. `agreed` becomes nothing when the server
/// declined. Without `options` nothing was offered. A server that limits our window to 2^8 gets
/// messages that are not compressed (window_bits 0). Faults: extension_not_offered,
/// extension_answer_invalid.
std::optional<Errc> check_answer(std::span<const HeaderField> fields, const Deflate* options,
                                 std::optional<DeflateAgreement>& agreed) noexcept;

}  // namespace tern::deflate
