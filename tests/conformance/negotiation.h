// Makes the tester's offers and answers for permessage-deflate in groups 12 and 13, and parses
// those of the subject (RFC 7692 §7.1). It uses no code of tern.
#pragma once

#include "tern/engine.h"

#include "conformance/script.h"

#include <optional>
#include <string>
#include <string_view>

namespace tern::conformance {

/// Returns the offer of a client tester in this case. It is empty for a case of another group.
std::string offer_of(std::string_view id);

/// Returns the answer of a server tester to this offer. It is empty when the tester declines.
std::string answer_of(std::string_view id, std::string_view offer);

/// Returns the parameters of this answer from the side of the tester: window_bits belongs to the
/// messages of the tester. Returns nothing for an empty answer. A parameter that no answer may
/// contain is a failed requirement.
std::optional<DeflateAgreement> agreed_by(std::string_view answer, Role tester);

/// Returns the header field of the value. It is empty when the value is empty.
inline std::string extension_line(const std::string& value) {
  return value.empty() ? "" : "Sec-WebSocket-Extensions: " + value + "\r\n";
}

/// The script with its messages compressed as agreed, in fragments of the size for this case.
Script compressed(const Script& plain, std::string_view id, const DeflateAgreement& agreed);

}  // namespace tern::conformance
