// Finds options that can never work, before anything runs.
#pragma once

#include "tern/engine.h"
#include "tern/options.h"

#include <span>
#include <string>

namespace tern::engine {

/// Each function returns why its argument can never work: the entry, the reason and the remedy. The
/// text is empty if the argument can work. Throws std::bad_alloc.
std::string why_invalid(const Limits& limits);
/// Zero is allowed for close and http_idle, which may be over at once.
std::string why_invalid(const Timeouts& timeouts);
/// A duration that may not be negative, and not zero either if `may_be_zero` is false.
std::string why_invalid_time(const char* name, Timeouts::Duration time, bool may_be_zero);
/// Each entry is "*", "null" or an origin in serialised form, RFC 6454 §6.2.
std::string why_invalid_origins(std::span<const std::string> allowed_origins);
std::string why_invalid_protocols(std::span<const std::string> protocols);
/// The header fields that an application adds.
std::string why_invalid_headers(std::span<const std::pair<std::string, std::string>> headers);
std::string why_invalid(const Accept& accept);

}  // namespace tern::engine
