// Interim answers of HTTP.
#pragma once

namespace tern::http {

/// The most interim answers before the final one that a client skips. A hostile peer could send
/// them without end, and each one costs a head.
inline constexpr unsigned max_interim_answers = 16;

/// Whether another response follows on the same connection: 1xx except 101. The client skips such a
/// response. RFC 9110 §15.2.
constexpr bool is_interim(int status) noexcept {
  return status >= 100 && status < 200 && status != 101;
}

}  // namespace tern::http
