// Runs TLS between a transport that moves ciphertext and a caller that reads and writes plaintext.
//
//   read  ◀─ SSL_read  ◀─ BIO ◀─ input  ◀─ one read of the transport below, of many records
//   write ─▶ SSL_write ─▶ BIO ─▶ output ─▶ one write of the transport below, of many records
//
// This file has the life of the transport: how it begins, the handshake, the end and the failures.
// transport_read.cc has the upper line of the picture, transport_write.cc the lower one.
//
// The BIO is in memory. It reads from `input_`, which is the thread's buffer while a call runs, and
// writes to the thread's output. Bytes that a call leaves over are kept in blocks of their exact
// size, so a connection at rest holds no buffers. A turn needs only one recv and one send, however
// many records there are. Both go through net/tcp, which handles MSG_NOSIGNAL and EINTR.
//
// A failure of TLS is not a failure of TCP. The transport sends the alert to the peer and ends its
// direction. The owner may linger until the peer has read the alert; bytes that arrive meanwhile
// are discarded.
#include "tls/transport.h"

#include "tern/error.h"

#include "tls/failure.h"
#include "tls/settings.h"

#include <new>
#include <utility>

namespace tern::tls {

// ---- birth and death

std::unique_ptr<TlsTransport> TlsTransport::server(std::unique_ptr<net::Transport> below,
                                                   std::shared_ptr<ServerContext> context,
                                                   Scratch& scratch) noexcept {
  Ssl ssl = context->make();
  std::unique_ptr<TlsTransport> made(
      new (std::nothrow) TlsTransport(std::move(below), std::move(context), scratch));
  if (made == nullptr || !made->attach(std::move(ssl))) return nullptr;
  SSL_set_accept_state(made->ssl_.get());
  return made;
}

std::unique_ptr<TlsTransport> TlsTransport::client(std::unique_ptr<net::Transport> below,
                                                   std::shared_ptr<ClientContext> context,
                                                   const std::string& name, std::uint16_t port,
                                                   Scratch& scratch) noexcept {
  try {
    auto full_name = std::make_unique<std::string>(name + ' ' + std::to_string(port));
    Ssl ssl = context->make(name, *full_name);
    std::unique_ptr<TlsTransport> made(
        new TlsTransport(std::move(below), std::move(context), scratch));
    if (!made->attach(std::move(ssl))) return nullptr;
    made->name_ = std::move(full_name);
    SSL_set_connect_state(made->ssl_.get());
    return made;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// OpenSSL does not resume a session that ended without close_notify. This call makes it resumable,
// because neither RFC 8446 nor RFC 9525 forbids that.
TlsTransport::~TlsTransport() {
  if (ssl_ != nullptr && phase_ == Phase::open) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN);
}

bool TlsTransport::attach(Ssl ssl) noexcept {
  const BIO_METHOD* const method = bio_method();
  BIO* const bio = ssl == nullptr || method == nullptr ? nullptr : BIO_new(method);
  ERR_clear_error();
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);  // takes one reference for both directions
  SSL_set_app_data(ssl.get(), this);
  SSL_set_msg_callback(ssl.get(), on_record);
  ssl_ = std::move(ssl);
  return true;
}

// ---- the BIO

const BIO_METHOD* TlsTransport::bio_method() noexcept {
  static BIO_METHOD* const method = []() noexcept {
    BIO_METHOD* const made = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tern");
    if (made != nullptr) {
      BIO_meth_set_read_ex(made, on_bio_read);
      BIO_meth_set_write_ex(made, on_bio_write);
      BIO_meth_set_ctrl(made, on_bio_control);
    }
    return made;
  }();
  return method;
}

long TlsTransport::on_bio_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// ---- a call, and the handshake

void TlsTransport::begin_call() noexcept {
  drained_ = received_ = false;
  receives_ = 0;
  records_ = 0;
  input_ = undeciphered_.bytes();
}

// Keeps the input that the call did not use, and sends the output that it produced.
void TlsTransport::end_call() noexcept {
  if (!received_) {
    undeciphered_.consume(undeciphered_.size() - input_.size());
  } else if (!undeciphered_.append(input_)) {
    fail(Errc::no_memory);
  }
  input_ = {};
  send_output();
}

TlsTransport::Step TlsTransport::shake_hands() noexcept {
  if (phase_ == Phase::open) return Step::done;
  const Step step = run([&] { return SSL_do_handshake(ssl_.get()); });
  if (step == Step::ended) {
    fail(Errc::tls_truncated);
    return Step::failed;
  }
  if (step != Step::done) return step;
  phase_ = Phase::open;
  try {
    if (std::string objection = context_->object_to(*ssl_); !objection.empty()) {
      fail(Errc::tls_certificate_refused, std::move(objection));
    }
  } catch (const std::bad_alloc&) {
    fail(Errc::no_memory);
  }
  if (phase_ != Phase::open) return Step::failed;
  ready_since_ = std::chrono::steady_clock::now();
  return Step::done;
}

// ---- the end

void TlsTransport::shutdown_write() noexcept {
  if (closing_) return;
  closing_ = true;
  if (phase_ == Phase::open && !write_error_) {
    begin_call();
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // close_notify
    ERR_clear_error();
    end_call();
  }
  if (phase_ == Phase::failed) discarding_ = true;
  if (unsent_.empty()) on_unsent_gone();
}

void TlsTransport::on_unsent_gone() noexcept {
  if (closing_) below_->shutdown_write();
}

// ---- failures

void TlsTransport::fail(std::error_code code, std::string explanation) noexcept {
  if (phase_ == Phase::failed) return;
  phase_ = Phase::failed;
  error_ = code;
  if (explanation.empty()) return;
  try {
    explanation_ = std::make_unique<std::string>(std::move(explanation));
  } catch (const std::bad_alloc&) {  // the code alone is enough
  }
}

void TlsTransport::fail_by_openssl() noexcept {
  try {
    if (explanation_ != nullptr) {  // a good certificate is refused, too, when memory is out
      const bool no_memory = take_lack_of_memory();
      return fail(no_memory ? Errc::no_memory : Errc::tls_certificate_refused, *explanation_);
    }
    const Errc kind = kind_of_failure();
    fail(kind, describe_failure(is_server() ? "client" : "server"));
  } catch (const std::bad_alloc&) {
    ERR_clear_error();
    fail(Errc::no_memory);
  }
  ERR_clear_error();
}

void TlsTransport::note_refusal(X509_STORE_CTX& store) noexcept {
  try {
    std::string expected = name_ ? name_->substr(0, name_->rfind(' ')) : std::string();
    explanation_ = std::make_unique<std::string>(describe_refusal(store, expected));
  } catch (const std::bad_alloc&) {  // the code alone is enough
  }
}

int note_refusal(int fine, X509_STORE_CTX* store) noexcept {
  if (fine != 1) {
    auto* const ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* const transport = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
    if (transport != nullptr) transport->note_refusal(*store);
  }
  return fine;
}

int TlsTransport::on_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto* const self = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  if (self == nullptr || self->name_ == nullptr) return 0;
  return self->context_->keep_session(*self->name_, session) ? 1 : 0;
}

std::string TlsTransport::explanation() const {
  if (explanation_ != nullptr) return *explanation_;
  if (std::string below = below_->explanation(); !below.empty()) return below;
  return phase_ == Phase::open || !ssl_ || SSL_is_init_finished(ssl_.get()) == 1
             ? std::string()
             : "in the TLS handshake";
}

std::string TlsTransport::peer_subject() const {
  if (phase_ != Phase::open || SSL_get_verify_mode(ssl_.get()) == SSL_VERIFY_NONE) return {};
  if (SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::string() : subject_of(*certificate);
}

}  // namespace tern::tls
