// TLS for both roles: certificates, keys, and trusted certificates. Plain structs without OpenSSL
// types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tern {

namespace tls {
class ClientContexts;
}

/// A certificate and its private key. Each comes from a file or from PEM text; if both are given,
/// the text is used. Intermediate certificates may follow the certificate. The key may stand in the
/// same file or text; it must not be encrypted.
struct TlsCertificate {
  std::string certificate{};      ///< path of a PEM file
  std::string private_key{};      ///< path of a PEM file; empty: it stands beside the certificate
  std::string certificate_pem{};  ///< or the text itself
  std::string private_key_pem{};  ///< or the text itself
};

/// Whether a server requests a certificate from its clients.
enum class ClientCertificates : std::uint8_t {
  none,      ///< requests none
  optional,  ///< requests one; a certificate that is sent must be valid
  required,  ///< refuses the handshake without one
};

/// The options of a server for TLS 1.2 and 1.3. With ALPN (RFC 7301) the server selects http/1.1; a
/// client that offers only other protocols is refused. A session can be resumed by ticket
/// (RFC 5077, RFC 8446 §4.6.1) until the certificates are reloaded. Renegotiation is refused.
struct TlsServer {
  std::string certificate{};      ///< as TlsCertificate; for clients that ask for none of `more`
  std::string private_key{};      ///< as TlsCertificate
  std::string certificate_pem{};  ///< as TlsCertificate
  std::string private_key_pem{};  ///< as TlsCertificate
  /// More certificates, each for the DNS names in its subjectAltName (SNI, RFC 6066 §3).
  std::vector<TlsCertificate> more{};

  /// Whether clients send a certificate. Request::client_subject() returns its subject.
  ClientCertificates client_certificates = ClientCertificates::none;
  std::string client_ca_file{};  ///< CAs that may issue client certificates: path of a PEM file
  std::string client_ca_pem{};   ///< or the PEM text
};

/// State that clients share between dials through TlsClient::memory: the loaded trusted
/// certificates, and sessions to resume. A resumed session saves the public-key operations of a
/// handshake. Files are not read again. Thread: any.
class TlsMemory {
 public:
  /// Throws std::bad_alloc.
  TlsMemory();
  ~TlsMemory();
  TlsMemory(const TlsMemory&) = delete;
  TlsMemory& operator=(const TlsMemory&) = delete;

  /// For the library itself.
  tls::ClientContexts& contexts() noexcept { return *contexts_; }

 private:
  std::unique_ptr<tls::ClientContexts> contexts_;
};

/// The options of a client for TLS 1.2 and 1.3. By default the server's certificate must chain to
/// the system's store (that of OpenSSL; SSL_CERT_FILE and SSL_CERT_DIR have effect). Its
/// subjectAltName must name the host of the URL, a DNS name or an address. The common name of the
/// subject has no effect (RFC 9525).
struct TlsClient {
  /// Trusted certificates instead of the system's store: path of a PEM file with certificates of
  /// CAs or of the server itself.
  std::string ca_file{};
  std::string ca_pem{};  ///< or the text itself
  /// If this list is not empty, the key of the server must also be one of these: SHA-256 of its
  /// SubjectPublicKeyInfo in base64, with or without "sha256//" before it (as in curl).
  std::vector<std::string> pinned_keys{};
  /// The server name to request and to expect, if it is not the host of the URL.
  std::string server_name{};
  /// For a server that requests a client certificate; as TlsCertificate.
  TlsCertificate certificate{};
  /// true: accepts any certificate for any name. Then anyone between client and server can read and
  /// change all data. `pinned_keys` still apply.
  bool insecure_accept_any_certificate = false;
  /// Shared by dials, so that they resume sessions and load certificates once; null: each dial is
  /// on its own.
  std::shared_ptr<TlsMemory> memory{};
};

}  // namespace tern
