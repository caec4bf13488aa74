// TLS for both roles: certificates, keys, and whom to trust. Plain structs, no OpenSSL types.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tern {

namespace tls {
class ClientContexts;
}

/// A certificate and its private key, each from a file or as PEM text (which comes first when both
/// are given). A certificate may be followed by its intermediates, the leaf first. The key may
/// stand in the same file or text; it must not be encrypted.
struct TlsCertificate {
  std::string certificate{};      ///< path of a PEM file
  std::string private_key{};      ///< path of a PEM file; empty: it stands beside the certificate
  std::string certificate_pem{};  ///< or the text itself
  std::string private_key_pem{};  ///< or the text itself
};

/// Whether a server asks its clients for a certificate.
enum class ClientCertificates : std::uint8_t {
  none,      ///< does not ask
  optional,  ///< asks; one that is sent must pass
  required,  ///< refuses the handshake without one
};

/// A server's side of TLS 1.2 and 1.3. ALPN (RFC 7301): http/1.1; a client that offers only other
/// protocols is refused. A session can be resumed by ticket (RFC 5077, RFC 8446 §4.6.1) until the
/// certificates are reloaded; renegotiation is refused.
struct TlsServer {
  std::string certificate{};      ///< as TlsCertificate; for clients that name none of the others
  std::string private_key{};      ///< as TlsCertificate
  std::string certificate_pem{};  ///< as TlsCertificate
  std::string private_key_pem{};  ///< as TlsCertificate
  /// More of them, each for the DNS names in its subjectAltName (SNI, RFC 6066 §3).
  std::vector<TlsCertificate> more{};

  /// The client's certificate is told by Request::client_subject().
  ClientCertificates client_certificates = ClientCertificates::none;
  std::string client_ca_file{};  ///< who may issue them: a PEM file
  std::string client_ca_pem{};   ///< or the text itself
};

/// What clients keep from one dial to the next if they share it through TlsClient::memory: the
/// trusted certificates once loaded, and the sessions to resume, which saves a round trip's worth
/// of cryptography. Files are not read again. Thread: any.
class TlsMemory {
 public:
  /// Throws std::bad_alloc.
  TlsMemory();
  ~TlsMemory();
  TlsMemory(const TlsMemory&) = delete;
  TlsMemory& operator=(const TlsMemory&) = delete;

  /// For tern's own rooms.
  tls::ClientContexts& contexts() noexcept { return *contexts_; }

 private:
  std::unique_ptr<tls::ClientContexts> contexts_;
};

/// A client's side of TLS 1.2 and 1.3. By default the server's certificate must chain to the
/// system's store (OpenSSL's; SSL_CERT_FILE and SSL_CERT_DIR are heeded) and name the URL's host,
/// a DNS name or an address, in its subjectAltName: the subject's common name does not count
/// (RFC 9525).
struct TlsClient {
  /// Trusted instead of the system's store: a PEM file of certificates, of CAs or of the server
  /// itself.
  std::string ca_file{};
  std::string ca_pem{};  ///< or the text itself
  /// If any are given, the server's key must be one of these besides all else: SHA-256 of its
  /// SubjectPublicKeyInfo in base64, with or without "sha256//" before it (as of curl).
  std::vector<std::string> pinned_keys{};
  /// The name to ask for and to expect, if not the URL's host.
  std::string server_name{};
  /// For a server that asks for one; as TlsCertificate.
  TlsCertificate certificate{};
  /// Accepts whatever certificate the server shows, for whatever name: anybody on the way can read
  /// and change everything. `pinned_keys` still hold.
  bool insecure_accept_any_certificate = false;
  /// Shared by dials that shall resume sessions and load certificates once; null: each for itself.
  std::shared_ptr<TlsMemory> memory{};
};

}  // namespace tern
