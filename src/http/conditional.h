// Requests with a condition: only if the client's copy is old, or only if it is not. RFC 9110 §13.
#pragma once

#include "tern/http.h"

#include <chrono>
#include <cstdint>
#include <string_view>

namespace tern::http {

/// The marks of one version of a file.
struct Validators {
  std::string_view etag{};  ///< a strong entity tag with its quotes: "\"1f-5e\""
  std::chrono::sys_seconds modified{};
};

/// The effect of the conditions of a request on its answer.
enum class Condition : std::uint8_t {
  holds,         ///< answer as if there were no condition
  not_modified,  ///< 304: the client has this version
  failed,        ///< 412
};

/// Checks If-Match, or If-Unmodified-Since without it; then If-None-Match, or If-Modified-Since
/// without it. A malformed date, or one that occurs twice, is ignored. For GET and HEAD. RFC 9110
/// §13.2.2.
Condition check_conditions(const Request& request, const Validators& current) noexcept;

/// Returns whether the Range of the request counts: If-Range is absent, or names this version. A
/// date counts only if the file is older than a second at `now`, because otherwise it could have
/// been changed within that second. RFC 9110 §13.1.5, §8.8.2.2.
bool range_counts(const Request& request, const Validators& current,
                  std::chrono::sys_seconds now) noexcept;

}  // namespace tern::http
