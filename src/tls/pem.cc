// Loads certificates and keys from files or text. All their faults are found here, not at the first
// handshake, and each error names the file and a remedy.
#include "tls/pem.h"

#include "tls/failure.h"

#include <cerrno>
#include <cstdio>
#include <new>
#include <openssl/pem.h>
#include <system_error>

namespace tern::tls {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

Bio reader_of(const Pem& pem) {
  Bio bio(BIO_new_mem_buf(pem.text.data(), static_cast<int>(pem.text.size())));
  if (bio == nullptr) throw std::bad_alloc();
  return bio;
}

// Whether PEM_read failed only because the text has no (more) objects of the requested kind.
bool at_end() noexcept {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// Replaces the terminal: without this callback, OpenSSL would request the passphrase there.
int refuse_passphrase(char*, int, int, void* asked) noexcept {
  *static_cast<bool*>(asked) = true;
  return -1;
}

}  // namespace

Result<Pem> load_pem(const std::string& file, const std::string& text, std::string_view what) {
  Pem pem;
  if (!text.empty()) {
    pem.text = text;
    pem.name = std::string(what) + " text";
    return pem;
  }
  pem.name = std::string(what) + " file " + file;
  // The category of the system is that of the network, whose failures pass by themselves.
  const auto failure = [&] { return Error({errno, std::generic_category()}, "read " + pem.name); };
  errno = 0;
  const std::unique_ptr<std::FILE, CloseFile> stream(std::fopen(file.c_str(), "rbe"));
  if (stream == nullptr) return failure();
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, stream.get())) {
    pem.text.append(buffer, size);
  }
  if (std::ferror(stream.get()) != 0) return failure();
  return pem;
}

Result<std::vector<Certificate>> parse_certificates(const Pem& pem) {
  std::vector<Certificate> all;
  const Bio bio = reader_of(pem);
  for (;;) {
    ERR_clear_error();
    Certificate next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    all.push_back(std::move(next));
  }
  const bool ended = at_end();
  const std::string reason = take_reason();
  if (!ended) return invalid(pem.name + " is damaged (" + reason + ")");
  if (all.empty()) return invalid(pem.name + " holds no certificate in PEM form");
  return all;
}

Result<Key> parse_private_key(const Pem& pem) {
  const Bio bio = reader_of(pem);
  bool asked = false;
  ERR_clear_error();
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &asked));
  const bool absent = pem.text.find("PRIVATE KEY-----") == pem.text.npos;
  const std::string reason = take_reason();
  if (key != nullptr) return key;
  if (asked) {
    return invalid(
        pem.name +
        " is encrypted; tern does not ask for a passphrase, so write the key without one: "
        "openssl pkey -in FILE -out FILE");
  }
  if (absent) return invalid(pem.name + " holds no private key in PEM form");
  return invalid(pem.name + " is damaged (" + reason + ")");
}

Result<void> use_certificate(SSL_CTX& context, const TlsCertificate& certificate) {
  if (certificate.certificate.empty() && certificate.certificate_pem.empty()) {
    return invalid("no certificate is given");
  }
  auto pem = load_pem(certificate.certificate, certificate.certificate_pem, "certificate");
  if (!pem) return std::move(pem).error();
  auto chain = parse_certificates(*pem);
  if (!chain) return std::move(chain).error();
  const bool is_key_beside = certificate.private_key.empty() && certificate.private_key_pem.empty();
  Result<Pem> key_pem =
      is_key_beside ? Result<Pem>(Pem(*pem))
                    : load_pem(certificate.private_key, certificate.private_key_pem, "private key");
  if (!key_pem) return std::move(key_pem).error();
  auto key = parse_private_key(*key_pem);
  if (!key) return std::move(key).error();

  X509& leaf = *chain->front();
  ERR_clear_error();
  if (X509_check_private_key(&leaf, key->get()) != 1) {
    take_reason();
    return invalid(key_pem->name + " does not belong to the certificate of " + subject_of(leaf) +
                   " in " + pem->name);
  }
  const bool used = SSL_CTX_use_certificate(&context, &leaf) == 1 &&
                    SSL_CTX_use_PrivateKey(&context, key->get()) == 1;
  if (!used) return invalid(pem->name + " cannot be used (" + take_reason() + ")");
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(&context, (*chain)[i].get()) != 1) {
      return invalid(pem->name + ": the certificate of " + subject_of(*(*chain)[i]) +
                     " cannot be used (" + take_reason() + ")");
    }
  }
  return {};
}

}  // namespace tern::tls
