// Turns the failures of OpenSSL into sentences that name the certificate, the reason and a remedy.
// OpenSSL reports a failure in three ways: a queue of errors in each thread, a number for the fault
// of a certificate, and alerts from the peer.
#include "tls/failure.h"

#include "net/address.h"

#include <new>

namespace tern::tls {
namespace {

std::string text_in(BIO& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(&bio, &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

Bio new_text() {
  Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr) throw std::bad_alloc();
  return bio;
}

// Escapes control characters and writes other scripts as UTF-8.
std::string text_of(const X509_NAME* name) {
  const Bio bio = new_text();
  X509_NAME_print_ex(bio.get(), name, 0,
                     XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  std::string text = text_in(*bio);
  return text.empty() ? "an empty subject" : text;
}

std::string text_of(const ASN1_TIME* time) {
  const Bio bio = new_text();
  if (time != nullptr) ASN1_TIME_print(bio.get(), time);
  return text_in(*bio);
}

// Returns the names and addresses of a certificate: "a.example, 192.0.2.7". An address that was
// given as a DNS name is a common mistake of who makes certificates, so it is told.
std::string names_of(const X509& certificate) {
  std::string names;
  const auto add = [&](std::string name) {
    names += names.empty() ? "" : ", ";
    names += name;
  };
  auto* const list = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME& name = *sk_GENERAL_NAME_value(list, i);
    const Bio bio = new_text();
    if (name.type != GEN_DNS && name.type != GEN_IPADD) continue;
    GENERAL_NAME_print(bio.get(), const_cast<GENERAL_NAME*>(&name));
    const std::string text = text_in(*bio);  // "DNS:a.example", "IP Address:192.0.2.7"
    const std::string value = text.substr(text.find(':') + 1);
    add(name.type == GEN_DNS && is_address(value) ? value + " as a DNS name" : value);
  }
  GENERAL_NAMES_free(list);
  return names;
}

std::string name_mismatch(const X509& certificate, std::string_view expected) {
  const std::string names = names_of(certificate);
  return "hostname mismatch: expected " + std::string(expected) + ", it is for " +
         (names.empty() ? "no name at all (no subjectAltName; the subject does not count)"
                        : names) +
         "; connect with one of its names, or get a certificate for this name";
}

std::string reason_and_remedy(X509_STORE_CTX& store, const X509& certificate,
                              std::string_view expected) {
  const int error = X509_STORE_CTX_get_error(&store);
  std::string reason = X509_verify_cert_error_string(error);
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return name_mismatch(certificate, expected);
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "expired on " + text_of(X509_get0_notAfter(&certificate)) +
             "; renew it, unless the clock of this machine is wrong";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "not valid before " + text_of(X509_get0_notBefore(&certificate)) +
             "; check the clock of this machine";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "self-signed and not trusted; if it is the right one, trust it as a CA (ca_file)";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "its CA is not trusted; if it is the right one, trust it (ca_file)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "its issuer " + text_of(X509_get_issuer_name(&certificate)) +
             " is not known; trust that CA (ca_file), or let the peer send its intermediates";
    default:
      return reason;
  }
}

bool is_alert(unsigned long error) noexcept {
  return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
}

}  // namespace

// OpenSSL's function needs memory, and without it the answer would be wrong.
bool is_address(const std::string& name) noexcept {
  return name.find_first_of("[%") == name.npos && net::Address::parse(name, 0).has_value();
}

std::string take_reason() {
  const unsigned long error = ERR_peek_error();
  const char* const reason = ERR_reason_error_string(error);
  std::string text = reason != nullptr ? reason : "OpenSSL gives no reason";
  ERR_clear_error();
  return text;
}

std::string subject_of(const X509& certificate) {
  return text_of(X509_get_subject_name(&certificate));
}

std::string describe_refusal(X509_STORE_CTX& store, std::string_view expected) {
  const X509* const certificate = X509_STORE_CTX_get_current_cert(&store);
  if (certificate == nullptr) {
    return X509_verify_cert_error_string(X509_STORE_CTX_get_error(&store));
  }
  return "certificate of " + subject_of(*certificate) + ": " +
         reason_and_remedy(store, *certificate, expected);
}

std::string describe_failure(std::string_view peer) {
  const unsigned long error = ERR_peek_error();
  const bool ssl = ERR_GET_LIB(error) == ERR_LIB_SSL;
  const int code = ERR_GET_REASON(error);
  const std::string the_peer = "the " + std::string(peer);
  std::string reason = take_reason();
  if (is_alert(error)) return the_peer + " refused us (" + reason + ")";
  if (!ssl) return reason;
  switch (code) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return the_peer + " speaks plain HTTP, not TLS (https:// and wss:// use TLS)";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNKNOWN_PROTOCOL:
      return the_peer + " does not speak TLS here (" + reason + ")";
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return the_peer + " speaks neither TLS 1.2 nor 1.3 (" + reason + ")";
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return the_peer + " offers protocols (ALPN) without http/1.1";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return the_peer + " sent no certificate, and one is required";
    default:
      return reason;
  }
}

bool take_lack_of_memory() noexcept {
  bool lacks = false;
  while (const unsigned long error = ERR_get_error()) {
    lacks = lacks || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
  }
  return lacks;
}

Errc kind_of_failure() noexcept {
  const unsigned long error = ERR_peek_error();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return Errc::tls_failed;
  switch (ERR_GET_REASON(error)) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return Errc::tls_certificate_refused;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return Errc::tls_own_certificate_refused;
    default:
      return Errc::tls_failed;
  }
}

}  // namespace tern::tls
