// Texts for the failures of TLS.
#pragma once

#include "tern/error.h"

#include "tls/openssl.h"

#include <string>
#include <string_view>

namespace tern::tls {

/// Empties this thread's queue of errors before a call of OpenSSL, because SSL_get_error() reads
/// the queue first. Usually there are none, and a check for errors is cheaper than clearing the
/// queue.
inline void forget_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

/// Returns the error for options that can never work. Throws std::bad_alloc.
inline Error invalid(const std::string& text) { return Error(Errc::tls_options_invalid, text); }

/// Returns the reason of the oldest error in this thread's queue, and empties the queue: "no shared
/// cipher". Throws std::bad_alloc.
std::string take_reason();

/// Returns the subject of a certificate: "CN=example.org,O=Example". Throws std::bad_alloc. RFC
/// 4514.
std::string subject_of(const X509& certificate);

/// Returns whether `name` is the text of an IP address, which a certificate holds as such and not
/// as a DNS name.
bool is_address(const std::string& name) noexcept;

/// Returns the reason why a certificate is refused, and a remedy. For a verify callback. `expected`
/// is the name or address that the certificate needs; empty if any name is allowed. Throws
/// std::bad_alloc.
std::string describe_refusal(X509_STORE_CTX& store, std::string_view expected);

/// Returns the reason why a call failed, from this thread's error queue, and empties the queue.
/// `peer` is "server" or "client". Throws std::bad_alloc.
std::string describe_failure(std::string_view peer);

/// Returns the kind of the oldest error in the queue: a certificate that the peer did not send or
/// that it refuses, or any other failure of TLS.
Errc kind_of_failure() noexcept;

/// Returns whether an error in this thread's queue means that memory is out, and empties the queue.
bool take_lack_of_memory() noexcept;

}  // namespace tern::tls
