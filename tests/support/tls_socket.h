// An end of TLS without tern's code: OpenSSL on a blocking loopback socket. A test calls each step
// itself, also steps that a correct peer does not take.
#pragma once

#include "support/certificates.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace tern::test {

/// Accepts any certificate. Gives up after 30 seconds of silence.
class TlsSocket {
 public:
  /// A client, connected to 127.0.0.1. `shared`: a context for many of them, which outlives it.
  explicit TlsSocket(std::uint16_t port, SSL_CTX* shared = nullptr)
      : TlsSocket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), shared, TLS_client_method()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    start();
    SSL_set_tlsext_host_name(ssl_, "localhost");
    SSL_set_connect_state(ssl_);
  }
  /// A server's end of a connection that was accepted; owns the descriptor.
  TlsSocket(int accepted, const Identity& shown)
      : TlsSocket(accepted, nullptr, TLS_server_method()) {
    shown.use_in(context_);
    start();
    SSL_set_accept_state(ssl_);
  }
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;
  ~TlsSocket() {
    forget_tls();
    if (fd_ >= 0) ::close(fd_);
  }

  SSL* ssl() { return ssl_; }
  /// The common name of the certificate that the peer showed.
  std::string shown_name() const {
    char name[100] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl_)),
                              NID_commonName, name, sizeof name);
    return name;
  }
  int fd() const { return fd_; }

  /// Sends at most this many bytes from now on; the operation that would send more fails.
  void stop_after(std::size_t bytes) { allowed_ = bytes; }
  /// How many bytes were sent.
  std::size_t sent() const { return sent_; }

  /// The bytes of a ClientHello, which are not sent yet.
  std::string hello() {
    SSL_do_handshake(ssl_);
    return take_output();
  }
  /// The last bytes of a client in its handshake, which are not sent yet; empty if the server
  /// refused.
  std::string last_flight() {
    if (!send_raw(hello())) return {};
    for (;;) {
      const int result = SSL_do_handshake(ssl_);
      if (result > 0) return take_output();
      if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ || !fill()) return {};
    }
  }
  /// The records of a text, which are not sent yet.
  std::string seal(std::string_view text) {
    std::size_t put = 0;
    if (SSL_write_ex(ssl_, text.data(), text.size(), &put) != 1) return {};
    return take_output();
  }
  /// Runs the whole handshake; returns false if the peer refused (see reason()).
  bool shake_hands() {
    for (;;) {
      const int done = step([&] { return SSL_do_handshake(ssl_); });
      if (done != 0) return done > 0;
    }
  }
  bool send(std::string_view text) {
    const std::string records = seal(text);
    return !records.empty() && send_raw(records);
  }
  bool send_raw(std::string_view bytes) {
    stopped_ = stopped_ || bytes.size() > allowed_;
    bytes = bytes.substr(0, allowed_);
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      sent_ += static_cast<std::size_t>(sent);
      if (allowed_ != everything) allowed_ -= static_cast<std::size_t>(sent);
    }
    return !stopped_;
  }
  /// The next bytes; empty at the end (see closed_properly() and reason()).
  std::string receive() {
    std::string text(65536, '\0');
    std::size_t got = 0;
    int done = 0;
    while (done == 0) {
      done = step([&] { return SSL_read_ex(ssl_, text.data(), text.size(), &got); });
    }
    text.resize(done > 0 ? got : 0);
    return text;
  }
  std::string receive_until(std::string_view end) {
    std::string all;
    while (all.find(end) == all.npos) {
      const std::string more = receive();
      if (more.empty()) break;
      all += more;
    }
    return all;
  }
  /// Whether close_notify was received.
  bool closed_properly() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }
  /// The alert or error that ended the connection.
  const std::string& reason() const { return reason_; }
  /// Discards all input until the peer ends TCP; returns whether it did.
  bool tcp_ends() {
    char buffer[65536];
    ssize_t got;
    do {
      got = ::recv(fd_, buffer, sizeof buffer, 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
  }

  void close_notify() {
    SSL_shutdown(ssl_);
    send_raw(take_output());
  }
  void fin() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(fd_, -1));
  }
  /// Frees all memory of TLS; the socket stays connected.
  void forget_tls() {
    SSL_free(std::exchange(ssl_, nullptr));
    SSL_CTX_free(std::exchange(context_, nullptr));
  }

 private:
  static constexpr std::size_t everything = static_cast<std::size_t>(-1);

  TlsSocket(int fd, SSL_CTX* shared, const SSL_METHOD* method)
      : context_(shared == nullptr ? SSL_CTX_new(method) : shared), fd_(fd) {
    if (shared != nullptr) SSL_CTX_up_ref(shared);
    const timeval limit{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int at_once = 1;  // so that all bytes are sent before a reset()
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
  }
  void start() {
    ssl_ = SSL_new(context_);
    BIO* const out = BIO_new(BIO_s_mem());
    BIO* const in = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl_, in, out);
  }

  // 1: done. -1: over. 0: again.
  template <class F>
  int step(F call) {
    ERR_clear_error();
    const int result = call();
    send_raw(take_output());
    if (stopped_) return -1;
    if (result > 0) return 1;
    if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
      const char* const reason = ERR_reason_error_string(ERR_peek_error());
      reason_ = reason != nullptr ? reason : "";
      return -1;
    }
    return fill() ? 0 : -1;
  }
  bool fill() {
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    EXPECT_FALSE(got < 0 && errno == EAGAIN) << "the peer is silent";
    if (got <= 0) return false;
    BIO_write(SSL_get_rbio(ssl_), buffer, static_cast<int>(got));
    return true;
  }
  std::string take_output() {
    BIO* const bio = SSL_get_wbio(ssl_);
    std::string bytes(BIO_ctrl_pending(bio), '\0');
    if (!bytes.empty()) BIO_read(bio, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }

  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  int fd_ = -1;
  std::string reason_{};
  std::size_t allowed_ = everything;
  std::size_t sent_ = 0;
  bool stopped_ = false;
};

}  // namespace tern::test
