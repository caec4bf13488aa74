// Certificates of every kind, also faulty ones, made while a test runs. Keys are ECDSA P-256,
// because they are quick to make.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string>
#include <unistd.h>
#include <utility>

namespace tern::test {

/// The properties of a certificate.
struct CertificateSpec {
  std::string common_name = "tern test";
  std::string names = "DNS:localhost,IP:127.0.0.1";  ///< subjectAltName; empty: none
  bool ca = false;
  long valid_from = -1;   ///< in days from now
  long valid_until = 30;  ///< in days from now
};

/// A certificate with its key. Copies share the certificate and the key.
class Identity {
 public:
  /// Signed by `issuer`, or by itself.
  explicit Identity(const CertificateSpec& spec, const Identity* issuer = nullptr)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
    X509* const x = certificate_.get();
    X509_set_version(x, 2);
    std::uint64_t serial = 0;
    RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1);
    X509_time_adj_ex(X509_getm_notBefore(x), static_cast<int>(spec.valid_from), 0, nullptr);
    X509_time_adj_ex(X509_getm_notAfter(x), static_cast<int>(spec.valid_until), 0, nullptr);
    X509_NAME* const subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1,
                               -1, 0);
    X509* const signer = issuer == nullptr ? x : issuer->certificate_.get();
    X509_set_issuer_name(x, X509_get_subject_name(signer));
    X509_set_pubkey(x, key_.get());
    extend(signer, NID_basic_constraints, spec.ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec.ca) extend(signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (!spec.names.empty()) extend(signer, NID_subject_alt_name, spec.names);
    EVP_PKEY* const signing = issuer == nullptr ? key_.get() : issuer->key_.get();
    EXPECT_GT(X509_sign(x, signing, EVP_sha256()), 0);
  }

  /// A copy for a server that uses OpenSSL without tern.
  void use_in(SSL_CTX* context) const {
    EXPECT_EQ(SSL_CTX_use_certificate(context, certificate_.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context, key_.get()), 1);
  }
  /// The certificate as PEM text.
  std::string certificate() const {
    return text([&](BIO* bio) { PEM_write_bio_X509(bio, certificate_.get()); });
  }
  std::string key() const {
    return text([&](BIO* bio) {
      PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  std::string encrypted_key() const {
    return text([&](BIO* bio) {
      const std::string phrase = "secret";
      PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), EVP_aes_256_cbc(), phrase.data(),
                                    static_cast<int>(phrase.size()), nullptr, nullptr);
    });
  }
  /// SHA-256 of the SubjectPublicKeyInfo in base64.
  std::string pin() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    unsigned char digest[32];
    EVP_Digest(der, static_cast<std::size_t>(size), digest, nullptr, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    unsigned char base64[45];
    EVP_EncodeBlock(base64, digest, 32);
    return reinterpret_cast<const char*>(base64);
  }

 private:
  void extend(X509* signer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, signer, certificate_.get(), nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(certificate_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }

  template <class F>
  static std::string text(F write) {
    BIO* const bio = BIO_new(BIO_s_mem());
    write(bio);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string result(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return result;
  }

  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

/// A CA and a certificate of it for localhost, which most tests need.
struct Authority {
  Identity ca{{.common_name = "tern test CA", .names = "", .ca = true}};
  Identity leaf{{.common_name = "localhost"}, &ca};

  /// Makes one more certificate.
  Identity issue(const CertificateSpec& spec) const { return Identity(spec, &ca); }
};

/// A temporary directory. Its destructor removes it with its files.
class PemFiles {
 public:
  PemFiles() {
    std::string name = testing::TempDir() + "tern_pem_XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  PemFiles(const PemFiles&) = delete;
  PemFiles& operator=(const PemFiles&) = delete;
  ~PemFiles() { std::filesystem::remove_all(directory_); }

  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

 private:
  std::string directory_{};
};

}  // namespace tern::test
