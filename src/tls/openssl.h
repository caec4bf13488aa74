// Owners for the objects of OpenSSL. Only this room includes the headers of libssl.
#pragma once

#include <memory>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace tern::tls {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const noexcept {
    release(object);
  }
};

using Ssl = std::unique_ptr<SSL, Release<&SSL_free>>;
using SslContext = std::unique_ptr<SSL_CTX, Release<&SSL_CTX_free>>;
using Session = std::unique_ptr<SSL_SESSION, Release<&SSL_SESSION_free>>;
using Certificate = std::unique_ptr<X509, Release<&X509_free>>;
using Store = std::unique_ptr<X509_STORE, Release<&X509_STORE_free>>;
using Key = std::unique_ptr<EVP_PKEY, Release<&EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Release<&BIO_free_all>>;

}  // namespace tern::tls
