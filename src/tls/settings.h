// Settings that servers and clients share.
#pragma once

#include "tern/error.h"

#include "tls/openssl.h"

#include <string>

namespace tern::tls {

/// Returns a context with all settings that do not depend on options. Throws std::bad_alloc.
SslContext make_context(const SSL_METHOD* method);

/// Returns a store that trusts these certificates instead of the system's. Errors: those of
/// load_pem and parse_certificates. Throws std::bad_alloc.
Result<Store> load_trust(const std::string& file, const std::string& text);

/// A callback for SSL_CTX_set_verify: gives the transport the reason why a certificate is refused.
int note_refusal(int fine, X509_STORE_CTX* store) noexcept;

}  // namespace tern::tls
