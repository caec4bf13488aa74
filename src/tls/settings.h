// What servers and clients have in common.
#pragma once

#include "tern/error.h"

#include "tls/openssl.h"

#include <string>

namespace tern::tls {

/// A context with everything set that no option changes. Throws std::bad_alloc.
SslContext make_context(const SSL_METHOD* method);

/// Trusts these certificates instead of the system's. Errors: as of load_pem and
/// parse_certificates. Throws std::bad_alloc.
Result<Store> load_trust(const std::string& file, const std::string& text);

/// For SSL_CTX_set_verify: tells the transport why a certificate does not pass.
int note_refusal(int fine, X509_STORE_CTX* store) noexcept;

}  // namespace tern::tls
