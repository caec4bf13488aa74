#pragma once

#include "tern/error.h"
#include "tern/tls.h"

#include "tls/openssl.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::tls {

/// PEM text and where it is from, for the texts of errors.
struct Pem {
  std::string text{};
  std::string name{};  ///< "certificate file cert.pem", "certificate text"
};

/// The text, or the contents of the file if there is no text. `what` names it: "certificate".
/// Errors: those of reading, with the file's name. Throws std::bad_alloc.
Result<Pem> load_pem(const std::string& file, const std::string& text, std::string_view what);

/// All certificates in it, at least one. Errors: tls_options_invalid. Throws std::bad_alloc.
Result<std::vector<Certificate>> parse_certificates(const Pem& pem);

/// The private key in it. Errors: tls_options_invalid; an encrypted key is one. Throws
/// std::bad_alloc.
Result<Key> parse_private_key(const Pem& pem);

/// Makes a context show this certificate. Errors: those above, and tls_options_invalid when the key
/// belongs to another one. Throws std::bad_alloc.
Result<void> use_certificate(SSL_CTX& context, const TlsCertificate& certificate);

}  // namespace tern::tls
