// Measures SSL_write of OpenSSL alone: the cost of enciphering one small frame for each of 1000
// connections in turn, as a fan-out over TLS must do it. A sink takes the records. With the cost of
// send() it is the least that a delivery over wss:// can take.

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freer<SSL_free>>;
using Method = std::unique_ptr<BIO_METHOD, Freer<BIO_meth_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;

Context server_context() {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86'400);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  Context context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // as servers with many connections
  return context;
}

// A BIO that takes everything and keeps nothing.
Method sink_method() {
  Method method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sink"));
  BIO_meth_set_write(method.get(), [](BIO*, const char*, int size) { return size; });
  BIO_meth_set_ctrl(method.get(), [](BIO*, int command, long, void*) -> long {
    return command == BIO_CTRL_FLUSH;
  });
  return method;
}

class Connections {
 public:
  explicit Connections(std::size_t count) {
    SSL_CTX_set_ciphersuites(clients_.get(), "TLS_AES_128_GCM_SHA256");
    while (all_.size() < count) all_.push_back(connected());
  }

  void write(std::size_t connection, const std::string& frame) const {
    const int size = static_cast<int>(frame.size());
    if (SSL_write(all_[connection].get(), frame.data(), size) != size) {
      throw std::runtime_error("SSL_write");
    }
  }

 private:
  Connection connected() {
    Connection server(SSL_new(servers_.get()));
    const Connection client(SSL_new(clients_.get()));
    BIO* ours = nullptr;
    BIO* theirs = nullptr;
    BIO_new_bio_pair(&ours, 0, &theirs, 0);
    SSL_set_bio(server.get(), ours, ours);
    SSL_set_bio(client.get(), theirs, theirs);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    while (SSL_do_handshake(server.get()) != 1 || SSL_do_handshake(client.get()) != 1) {
      SSL_do_handshake(client.get());
    }
    BIO* const sink = BIO_new(sink_.get());
    BIO_set_init(sink, 1);
    SSL_set0_wbio(server.get(), sink);
    return server;
  }

  Method sink_ = sink_method();
  Context servers_ = server_context();
  Context clients_{SSL_CTX_new(TLS_client_method())};
  std::vector<Connection> all_{};
};

void ssl_write(benchmark::State& state) {
  constexpr std::size_t count = 1'000;
  static const Connections connections(count);  // they take a second
  const std::string frame(static_cast<std::size_t>(state.range(0)), 'x');
  std::size_t next = 0;
  for (auto _ : state) {
    connections.write(next, frame);
    next = (next + 1) % count;
  }
}
BENCHMARK(ssl_write)->Arg(102)->Arg(1'028);

}  // namespace
