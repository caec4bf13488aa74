// The groups of errors that the drivers of an engine treat alike. Each group is listed here once.
#pragma once

#include "tern/error.h"

#include <system_error>

namespace tern::base {

/// Returns whether the connection ended because the peer did nothing in time. Bytes that still wait
/// for this peer are of no use.
inline bool is_silence(std::error_code why) noexcept {
  return why == Errc::pong_timeout || why == Errc::close_timeout || why == Errc::write_stalled;
}

/// Returns whether nothing is left to wait for at the end: the peer is gone or silent, or this end
/// cuts the connection off. Errors of the system are abrupt.
inline bool is_abrupt(std::error_code why) noexcept {
  if (!why) return false;
  if (why.category() != error_category() || is_silence(why)) return true;
  return why == Errc::connection_reset || why == Errc::terminated || why == Errc::no_memory ||
         why == Errc::overloaded || why == Errc::closed;
}

/// Returns whether TLS failed while TCP still works, so that the alert can reach the peer.
inline bool is_tls_failure(std::error_code why) noexcept {
  return why == Errc::tls_failed || why == Errc::tls_certificate_refused ||
         why == Errc::tls_own_certificate_refused;
}

/// Returns whether the peer ended TCP, or TCP broke, before the connection was over.
inline bool is_end_of_tcp(std::error_code why) noexcept {
  return why == Errc::end_of_stream || why == Errc::connection_reset || why == Errc::tls_truncated;
}

}  // namespace tern::base
