#pragma once

#include "tern/error.h"
#include "tern/tls.h"

#include "tls/openssl.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::tls {

/// PEM text, and its origin for the texts of errors.
struct Pem {
  std::string text{};
  std::string name{};  ///< "certificate file cert.pem", "certificate text"
};

/// Returns the text, or the contents of the file if the text is empty. `what` names the kind:
/// "certificate". Errors: those of reading, with the file's name. Throws std::bad_alloc.
Result<Pem> load_pem(const std::string& file, const std::string& text, std::string_view what);

/// Returns all certificates in `pem`, at least one. Errors: tls_options_invalid. Throws
/// std::bad_alloc.
Result<std::vector<Certificate>> parse_certificates(const Pem& pem);

/// Returns the private key in `pem`. Errors: tls_options_invalid, also for an encrypted key. Throws
/// std::bad_alloc.
Result<Key> parse_private_key(const Pem& pem);

/// Makes a context use this certificate. Errors: those above, and tls_options_invalid if the key
/// belongs to another certificate. Throws std::bad_alloc.
Result<void> use_certificate(SSL_CTX& context, const TlsCertificate& certificate);

}  // namespace tern::tls
