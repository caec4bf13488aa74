// What went wrong, in words.
#pragma once

#include "tls/openssl.h"

#include <string>
#include <string_view>

namespace tern::tls {

/// The reason of the oldest error in this thread's queue, which it empties: "no shared cipher".
/// Throws std::bad_alloc.
std::string take_reason();

/// A certificate's subject as of RFC 4514: "CN=example.org,O=Example". Throws std::bad_alloc.
std::string subject_of(const X509& certificate);

/// Why a certificate did not pass and what can be done about it, in a verify callback. `expected`
/// is the name or address it should have; empty: any. Throws std::bad_alloc.
std::string describe_refusal(X509_STORE_CTX& store, std::string_view expected);

/// Why a call failed, from this thread's error queue, which it empties. `peer` is "server" or
/// "client". Throws std::bad_alloc.
std::string describe_failure(std::string_view peer);

/// Whether the oldest error in the queue says that the client sent no certificate.
bool lacks_certificate() noexcept;

}  // namespace tern::tls
