// Creates the contexts of OpenSSL, which many connections of any thread share. All settings are on
// tern's own contexts. The configuration of the process (openssl.cnf) applies as the policy of the
// system, and tern never changes it.
//
// A server resumes sessions only with tickets, so it keeps nothing for a client that may never
// return. A ticket is useless after a reload, because the new context has new keys. So a client
// that the new certificates refuse cannot enter with an old session.
#include "tls/context.h"

#include "base/base64.h"
#include "tls/failure.h"
#include "tls/pem.h"
#include "tls/settings.h"
#include "tls/transport.h"

#include <array>
#include <new>
#include <span>

namespace tern::tls {
namespace {

constexpr std::array<unsigned char, 9> http_1_1 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr std::string_view session_context = "tern";
// A certificate names its server in subjectAltName. If it has no DNS name there, OpenSSL by default
// accepts the common name of the subject, which RFC 9525 §2 forbids.
constexpr unsigned name_rules =
    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

// A client that offers protocols but not ours receives the alert no_application_protocol (RFC 7301
// §3.2).
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void*) noexcept {
  for (unsigned at = 0; at < offered_size; at += 1u + offered[at]) {
    if (offered_size - at < http_1_1.size()) break;
    if (std::equal(http_1_1.begin(), http_1_1.end(), offered + at)) {
      *chosen = offered + at + 1;
      *size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<SslContext> make_server_context(const TlsCertificate& certificate) {
  SslContext context = make_context(TLS_server_method());
  SSL_CTX& ssl = *context;
  // TLS 1.2 too uses only ciphers with forward secrecy and authenticated encryption (RFC 9325
  // §4.2).
  SSL_CTX_set_cipher_list(&ssl, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_session_cache_mode(&ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(&ssl, 1);
  SSL_CTX_set_session_id_context(&ssl,
                                 reinterpret_cast<const unsigned char*>(session_context.data()),
                                 static_cast<unsigned>(session_context.size()));
  SSL_CTX_set_alpn_select_cb(&ssl, choose_protocol, nullptr);
  if (auto used = use_certificate(ssl, certificate); !used) return used.error();
  return context;
}

// The server sends the names of its CAs, so that a client can choose its certificate (RFC 8446
// §4.2.4).
void ask_for_certificates(SSL_CTX& context, X509_STORE& trust, ClientCertificates wanted) {
  SSL_CTX_set1_cert_store(&context, &trust);
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(&trust);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    X509* const ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    if (ca != nullptr) SSL_CTX_add_client_CA(&context, ca);
  }
  int mode = SSL_VERIFY_PEER;
  if (wanted == ClientCertificates::required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(&context, mode, note_refusal);
}

// Returns the SHA-256 of the SubjectPublicKeyInfo in base64; empty if OpenSSL fails.
std::string pin_of(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  if (size <= 0) return {};
  std::array<unsigned char, 32> digest{};
  const bool digested = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr,
                                   EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  if (!digested) return {};
  return base::base64_encode(std::as_bytes(std::span(digest)));
}

Result<std::string> parse_pin(const std::string& given) {
  constexpr std::string_view prefix = "sha256//";
  const std::string pin = given.starts_with(prefix) ? given.substr(prefix.size()) : given;
  std::array<unsigned char, 33> bytes{};
  const bool fine =
      pin.size() == 44 && pin.ends_with('=') &&
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(pin.data()),
                      static_cast<int>(pin.size())) == 33;
  ERR_clear_error();
  if (!fine) return invalid("pinned key \"" + given + "\" is not a SHA-256 in base64");
  return pin;
}

}  // namespace

SslContext make_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method));
  if (context == nullptr) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_NO_AUTO_CHAIN);
  return context;
}

Result<Store> load_trust(const std::string& file, const std::string& text) {
  auto pem = load_pem(file, text, "CA");
  if (!pem) return std::move(pem).error();
  auto certificates = parse_certificates(*pem);
  if (!certificates) return std::move(certificates).error();
  Store store(X509_STORE_new());
  if (store == nullptr) throw std::bad_alloc();
  for (const Certificate& certificate : *certificates) {
    if (X509_STORE_add_cert(store.get(), certificate.get()) != 1) throw std::bad_alloc();
  }
  // A certificate that is trusted itself needs no trusted issuer.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

// ---- server

Result<std::shared_ptr<ServerContext>> ServerContext::load(const TlsServer& options) {
  auto loaded = std::make_shared<ServerContext>();
  std::vector<TlsCertificate> certificates = {
      {options.certificate, options.private_key, options.certificate_pem, options.private_key_pem}};
  certificates.insert(certificates.end(), options.more.begin(), options.more.end());
  Store trust;
  if (options.client_certificates != ClientCertificates::none) {
    if (options.client_ca_file.empty() && options.client_ca_pem.empty()) {
      return invalid("client certificates are requested, but client_ca_file is not given");
    }
    auto store = load_trust(options.client_ca_file, options.client_ca_pem);
    if (!store) return std::move(store).error();
    trust = *std::move(store);
  } else if (!options.client_ca_file.empty() || !options.client_ca_pem.empty()) {
    return invalid("client_ca_file is given, but client_certificates is none: it has no effect");
  }
  for (const TlsCertificate& certificate : certificates) {
    auto context = make_server_context(certificate);
    if (!context) return std::move(context).error();
    if (trust != nullptr) ask_for_certificates(**context, *trust, options.client_certificates);
    loaded->by_name_.push_back(*std::move(context));
  }
  SSL_CTX* const first = loaded->by_name_.front().get();
  SSL_CTX_set_tlsext_servername_callback(first, choose_by_name);
  SSL_CTX_set_tlsext_servername_arg(first, loaded.get());
  return loaded;
}

// Chooses the certificate by the name that the client sends (RFC 6066 §3). The names, with their
// wildcards, come from the certificates.
int ServerContext::choose_by_name(SSL* ssl, int*, void* context) noexcept {
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  for (const SslContext& candidate : static_cast<const ServerContext*>(context)->by_name_) {
    X509* const leaf = SSL_CTX_get0_certificate(candidate.get());
    if (X509_check_host(leaf, name, 0, name_rules, nullptr) == 1) {
      SSL_set_SSL_CTX(ssl, candidate.get());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// ---- client

Result<std::shared_ptr<ClientContext>> ClientContext::load(const TlsClient& options) {
  auto loaded = std::make_shared<ClientContext>();
  loaded->context_ = make_context(TLS_client_method());
  SSL_CTX& ssl = *loaded->context_;
  SSL_CTX_set_alpn_protos(&ssl, http_1_1.data(), static_cast<unsigned>(http_1_1.size()));
  for (const std::string& given : options.pinned_keys) {
    auto pin = parse_pin(given);
    if (!pin) return std::move(pin).error();
    loaded->pins_.push_back(*std::move(pin));
  }
  if (!options.insecure_accept_any_certificate) {
    SSL_CTX_set_verify(&ssl, SSL_VERIFY_PEER, note_refusal);
    if (options.ca_file.empty() && options.ca_pem.empty()) {
      SSL_CTX_set_default_verify_paths(&ssl);
    } else {
      auto store = load_trust(options.ca_file, options.ca_pem);
      if (!store) return std::move(store).error();
      SSL_CTX_set1_cert_store(&ssl, store->get());
    }
  }
  const TlsCertificate& own = options.certificate;
  if (!own.certificate.empty() || !own.certificate_pem.empty()) {
    if (auto used = use_certificate(ssl, own); !used) return used.error();
  } else if (!own.private_key.empty() || !own.private_key_pem.empty()) {
    return invalid("a private key is given without its certificate");
  }
  if (options.memory != nullptr) {
    SSL_CTX_set_session_cache_mode(&ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(&ssl, TlsTransport::on_new_session);
  } else {
    SSL_CTX_set_session_cache_mode(&ssl, SSL_SESS_CACHE_OFF);
  }
  ERR_clear_error();
  return loaded;
}

Ssl ClientContext::make(const std::string& name, const std::string& session_name) {
  Ssl ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return nullptr;
  X509_VERIFY_PARAM* const expected = SSL_get0_param(ssl.get());
  if (is_address(name)) {  // RFC 6066 §3: no SNI for addresses
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) != 1) return nullptr;
  } else {
    X509_VERIFY_PARAM_set_hostflags(expected, name_rules);
    if (X509_VERIFY_PARAM_set1_host(expected, name.c_str(), name.size()) != 1) return nullptr;
    if (SSL_set_tlsext_host_name(ssl.get(), name.c_str()) != 1) return nullptr;
  }
  const std::lock_guard lock(mutex_);
  const auto known = sessions_.find(session_name);
  if (known != sessions_.end()) {
    SSL_set_session(ssl.get(), known->second.get());
    // A ticket is used once, because an observer could otherwise link the connections of one client
    // (RFC 8446 §C.4).
    if (SSL_SESSION_get_protocol_version(known->second.get()) >= TLS1_3_VERSION) {
      sessions_.erase(known);
    }
  }
  return ssl;
}

std::string ClientContext::object_to(SSL& ssl) const {
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(&ssl, &protocol, &size);
  if (size != 0 && !std::equal(http_1_1.begin() + 1, http_1_1.end(), protocol, protocol + size)) {
    return "the server chose a protocol (ALPN) that was not offered";
  }
  if (pins_.empty()) return {};
  const X509* const certificate = SSL_get0_peer_certificate(&ssl);
  if (certificate == nullptr) return "the server has no certificate, but its key is pinned";
  const std::string pin = pin_of(*certificate);
  for (const std::string& wanted : pins_) {
    if (pin == wanted) return {};
  }
  return "certificate of " + subject_of(*certificate) + ": its key is sha256//" + pin +
         ", which is none of the pinned keys";
}

bool ClientContext::keep_session(const std::string& name, SSL_SESSION* session) noexcept {
  if (SSL_SESSION_is_resumable(session) != 1) return false;
  const std::lock_guard lock(mutex_);
  try {
    if (sessions_.size() >= max_sessions && !sessions_.contains(name)) {
      sessions_.erase(sessions_.begin());
    }
    Session& kept = sessions_[name];
    kept.reset(session);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

Result<std::shared_ptr<ClientContext>> ClientContexts::get(const TlsClient& options) {
  // The key holds everything that decides whether a session may be resumed: a dial that wants
  // verification must never resume a session that was opened without it.
  std::string key;
  const auto add = [&](std::string_view text) {
    key += std::to_string(text.size()) + ':';
    key += text;
  };
  const TlsCertificate& own = options.certificate;
  for (const std::string* text : {&options.ca_file, &options.ca_pem, &own.certificate,
                                  &own.private_key, &own.certificate_pem, &own.private_key_pem}) {
    add(*text);
  }
  for (const std::string& pin : options.pinned_keys) add(pin);
  add(options.insecure_accept_any_certificate ? "any" : "verified");
  const std::lock_guard lock(mutex_);
  std::shared_ptr<ClientContext>& context = contexts_[key];
  if (context == nullptr) {
    auto loaded = ClientContext::load(options);
    if (!loaded) {
      contexts_.erase(key);
      return loaded;
    }
    context = *std::move(loaded);
  }
  return context;
}

}  // namespace tern::tls

namespace tern {

TlsMemory::TlsMemory() : contexts_(std::make_unique<tls::ClientContexts>()) {}
TlsMemory::~TlsMemory() = default;

}  // namespace tern
