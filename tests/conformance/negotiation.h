// What the tester says about permessage-deflate in groups 12 and 13, and what it understands of
// what the subject says (RFC 7692 §7.1), without tern's own code.
#pragma once

#include "tern/engine.h"

#include "conformance/script.h"

#include <optional>
#include <string>
#include <string_view>

namespace tern::conformance {

/// The value a client tester offers in this case; empty for a case of another group.
std::string offer_of(std::string_view id);

/// What a server tester answers to this offer; empty when it declines.
std::string answer_of(std::string_view id, std::string_view offer);

/// What was agreed on by this answer, as the tester sees it: window_bits is of what it sends.
/// Nothing for an empty answer. What no answer may hold is a failed requirement.
std::optional<DeflateAgreement> agreed_by(std::string_view answer, Role tester);

/// The line of a head; nothing when the value is empty.
inline std::string extension_line(const std::string& value) {
  return value.empty() ? "" : "Sec-WebSocket-Extensions: " + value + "\r\n";
}

/// The script with its messages compressed as agreed, in fragments of the size of the case.
Script compressed(const Script& plain, std::string_view id, const DeflateAgreement& agreed);

}  // namespace tern::conformance
