// TLS over any other transport.
#pragma once

#include "net/transport.h"
#include "tls/context.h"
#include "tls/failure.h"
#include "tls/kept_bytes.h"
#include "tls/openssl.h"
#include "tls/scratch.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tern::tls {

/// One end of a TLS connection over a transport that it owns. read() and write() run the handshake.
class TlsTransport final : public net::Transport {
 public:
  /// Returns a server's end; null if memory is out. Lifetime: `scratch` must outlive it.
  static std::unique_ptr<TlsTransport> server(std::unique_ptr<net::Transport> below,
                                              std::shared_ptr<ServerContext> context,
                                              Scratch& scratch) noexcept;
  /// Returns a client's end for the server with this name or address, at this port; null if memory
  /// is out. Lifetime: `scratch` must outlive it.
  static std::unique_ptr<TlsTransport> client(std::unique_ptr<net::Transport> below,
                                              std::shared_ptr<ClientContext> context,
                                              const std::string& name, std::uint16_t port,
                                              Scratch& scratch) noexcept;
  ~TlsTransport() override;

  Transfer read(std::span<const iovec> into) noexcept override;
  Transfer write(std::span<const iovec> from) noexcept override;
  int fd() const noexcept override { return below_->fd(); }
  void shutdown_write() noexcept override;
  bool has_unsent() const noexcept override { return !unsent_.empty() || below_->has_unsent(); }
  Transfer flush() noexcept override;
  PeerProgress delivery() const noexcept override;
  bool is_ready() const noexcept override { return SSL_is_init_finished(ssl_.get()) == 1; }
  std::optional<std::chrono::steady_clock::time_point> ready_since() const noexcept override {
    return ready_since_;
  }
  std::string explanation() const override;
  std::string peer_subject() const override;
  const net::ProxiedClient* proxied() const noexcept override { return below_->proxied(); }

  /// A callback for SSL_CTX_sess_set_new_cb. Returns 1 if it took over the session.
  static int on_new_session(SSL* ssl, SSL_SESSION* session) noexcept;
  /// Stores the reason why a certificate of the peer is refused. For the verify callback.
  void note_refusal(X509_STORE_CTX& store) noexcept;

 private:
  enum class Phase : std::uint8_t { handshake, open, failed };
  enum class Step : std::uint8_t { done, wait, ended, failed };
  // The number of records that one call deciphers. A record may hold one byte or none, and costs a
  // microsecond.
  static constexpr std::uint16_t max_records = 256;

  TlsTransport(std::unique_ptr<net::Transport> below, std::shared_ptr<Context> context,
               Scratch& scratch) noexcept
      : below_(std::move(below)), context_(std::move(context)), scratch_(&scratch) {}
  bool attach(Ssl ssl) noexcept;

  // The BIO, which moves ciphertext in and out of memory.
  static const BIO_METHOD* bio_method() noexcept;
  static int on_bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) noexcept;
  static int on_bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* put) noexcept;
  static long on_bio_control(BIO* bio, int command, long number, void* pointer) noexcept;
  static void on_record(int written, int version, int content_type, const void* bytes,
                        std::size_t size, SSL* ssl, void* argument) noexcept;

  // Calls OpenSSL until it is done or needs ciphertext that has not arrived.
  template <class F>
  Step run(F&& call) noexcept;
  bool receive() noexcept;
  void begin_call() noexcept;
  void end_call() noexcept;
  Step shake_hands() noexcept;
  bool starves() const noexcept;
  bool did_enough() const noexcept { return records_ > max_records; }
  std::size_t read_some(std::span<const iovec> into, Step& step) noexcept;
  std::size_t write_some(std::span<const iovec> from, std::size_t skip, Step& step) noexcept;
  void send_output() noexcept;
  void on_unsent_gone() noexcept;
  void fail(std::error_code code, std::string explanation = {}) noexcept;
  void fail_by_openssl() noexcept;
  bool is_server() const noexcept { return SSL_is_server(ssl_.get()) == 1; }

  std::unique_ptr<net::Transport> below_;
  std::shared_ptr<Context> context_;
  Scratch* scratch_;
  Ssl ssl_{};
  KeptBytes undeciphered_{};
  KeptBytes unsent_{};
  std::size_t owed_ = 0;  // bytes in the records of unsent_ that do not count as written yet
  std::span<const std::byte> input_{};  // within a call: the bytes that the BIO reads next
  std::error_code error_{};             // the reason of the failure
  std::error_code write_error_{};       // the reason why it cannot send; it still reads
  std::unique_ptr<std::string> explanation_{};
  std::unique_ptr<std::string> name_{};  // client: the server and port; the key of its sessions
  std::optional<std::chrono::steady_clock::time_point> ready_since_{};
  Phase phase_ = Phase::handshake;
  std::uint16_t records_ = 0;     // within a call: records that OpenSSL has begun to read
  std::uint8_t receives_ = 0;     // within a call: received buffers of ciphertext
  bool drained_ : 1 = false;      // within a call: the transport below has no more bytes for now
  bool more_below_ : 1 = false;   // the transport below holds bytes that the descriptor hides
  bool received_ : 1 = false;     // within a call: input_ points into the thread's buffer
  bool heard_ : 1 = false;        // whether the peer has ever sent a byte
  bool ended_below_ : 1 = false;  // whether the peer's FIN has arrived
  bool closing_ : 1 = false;      // whether shutdown_write() was called
  bool discarding_ : 1 = false;   // whether it failed and discards all input
};

template <class F>
TlsTransport::Step TlsTransport::run(F&& call) noexcept {
  for (;;) {
    forget_errors();
    const int result = call();
    if (result > 0) return Step::done;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        if (receive()) continue;
        return phase_ == Phase::failed ? Step::failed : Step::wait;
      case SSL_ERROR_ZERO_RETURN:
        return Step::ended;
      default:
        fail_by_openssl();
        return Step::failed;
    }
  }
}

}  // namespace tern::tls
