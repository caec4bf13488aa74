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

/// zlib cannot write raw deflate with a window of 2^8 bytes, so tern never agrees to write it: see
/// accept_offer and check_answer. zlib can inflate such data.
inline constexpr int min_window_bits = 9;
inline constexpr int max_window_bits = 15;

/// Offers behind the first 16 of a list are ignored, and so is an offer with more than 16
/// parameters.
inline constexpr std::size_t max_offers = 16;
inline constexpr std::size_t max_parameters = 16;

/// The options with all numbers within their bounds; nothing if compression is off.
std::optional<Deflate> usable(const std::optional<Deflate>& options) noexcept;

/// The offer that a server accepts.
struct Acceptance {
  DeflateAgreement agreed{};
  bool names_window = false;       // the answer has server_max_window_bits
  bool names_peer_window = false;  // the answer has client_max_window_bits
};

/// Server: returns the agreement for the first offer of the request that can be accepted; nothing
/// if there is none. An offer with an unknown, malformed, repeated or impossible parameter is
/// skipped, and so is one that limits our window to less than min_window_bits. The caller has
/// checked the grammar of the list. A client that cannot limit its window to peer_window_bits gets
/// no takeover, so that the connection keeps no more memory than the options allow.
std::optional<Acceptance> accept_offer(std::span<const HeaderField> fields,
                                       const Deflate& options) noexcept;
/// Server: the value of Sec-WebSocket-Extensions in the answer. Throws std::bad_alloc.
std::string answer_text(const Acceptance& acceptance);

/// Client: the value of Sec-WebSocket-Extensions in the request. If the first offer limits the
/// window of the server, a second offer without takeover follows, for servers that cannot limit it.
/// Throws std::bad_alloc.
std::string offer_text(const Deflate& options);
/// Client: checks whether the server's answer fits offer_text. `options` is null if nothing was
/// offered. `agreed` becomes nothing if the server declined. If a server limits our window to 2^8,
/// our messages are not compressed (window_bits 0). Returns nothing on success, else
/// extension_not_offered or extension_answer_invalid.
std::optional<Errc> check_answer(std::span<const HeaderField> fields, const Deflate* options,
                                 std::optional<DeflateAgreement>& agreed) noexcept;

}  // namespace tern::deflate
