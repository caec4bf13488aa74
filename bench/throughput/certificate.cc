// Makes a key and a self-signed certificate by libcrypto, so that no file is committed.
#include "throughput/certificate.h"

#include "throughput/system.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdexcept>

namespace tern::bench {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;

template <class F>
void write_pem(const std::string& path, F&& write) {
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> file(std::fopen(path.c_str(), "w"),
                                                                &std::fclose);
  if (!file) throw_errno(path);
  if (write(file.get()) != 1) throw std::runtime_error(path + ": cannot write it");
}

}  // namespace

TemporaryCertificate::TemporaryCertificate()
    : directory_((std::filesystem::temp_directory_path() / "tern-bench-XXXXXX").string()) {
  if (::mkdtemp(directory_.data()) == nullptr) throw_errno(directory_);
  const Key key(EVP_EC_gen("P-256"), &::EVP_PKEY_free);
  const Certificate made(::X509_new(), &::X509_free);
  X509* const x = made.get();
  if (!key || x == nullptr) throw std::runtime_error("OpenSSL makes no P-256 key");
  ::ASN1_INTEGER_set(::X509_get_serialNumber(x), 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(x), -86'400);
  ::X509_gmtime_adj(::X509_getm_notAfter(x), 86'400);
  X509_NAME* const name = ::X509_get_subject_name(x);
  ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  ::X509_set_issuer_name(x, name);
  ::X509_set_pubkey(x, key.get());
  if (::X509_sign(x, key.get(), ::EVP_sha256()) == 0) {
    throw std::runtime_error("OpenSSL signs no certificate");
  }
  write_pem(certificate(), [&](std::FILE* file) { return ::PEM_write_X509(file, x); });
  write_pem(this->key(), [&](std::FILE* file) {
    return ::PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

TemporaryCertificate::~TemporaryCertificate() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace tern::bench
