// Runs TLS between a transport that moves ciphertext and a caller that reads and writes plaintext.
//
//   read  ◀─ SSL_read  ◀─ BIO ◀─ input  ◀─ one read of the transport below, of many records
//   write ─▶ SSL_write ─▶ BIO ─▶ output ─▶ one write of the transport below, of many records
//
// The BIO is in memory. It reads from `input_`, which is the thread's buffer while a call runs, and
// writes to the thread's output. Bytes that a call leaves over are kept in blocks of their exact
// size, so a connection at rest holds no buffers. A turn needs only one recv and one send, however
// many records there are. Both go through net/tcp, which handles MSG_NOSIGNAL and EINTR.
//
// Bytes that SSL_write has taken count as written, even if a part of their records is still in
// `unsent_`. The transport takes no more bytes until that part is sent. If these bytes were all
// that the caller had to write, the last byte does not count before that: otherwise the caller
// would wait for nothing, and would not notice a peer that stalls.
//
// A failure of TLS is not a failure of TCP. The transport sends the alert to the peer and ends its
// direction. The owner may linger until the peer has read the alert; bytes that arrive meanwhile
// are discarded.
#include "tls/transport.h"

#include "tern/error.h"

#include "tls/failure.h"
#include "tls/settings.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace tern::tls {
namespace {

// The transport gathers this much ciphertext before it sends. The last record may exceed it.
constexpr std::size_t output_target = std::size_t{112} << 10;
constexpr std::size_t kept_output = std::size_t{160} << 10;
// The number of buffers of ciphertext that one call receives. Without this limit, records with no
// plaintext or with one byte would never fill the reader's room, and other connections would wait.
constexpr std::uint8_t max_receives = 4;
// The plaintext that one call enciphers. Without this limit, other connections would wait for a
// peer that reads as fast as tern enciphers.
constexpr std::size_t max_written = std::size_t{1} << 20;
// If more than this is unsent, the transport stops reading. Otherwise a peer that causes answers
// (alerts, key updates) without reading them could fill the memory.
constexpr std::size_t max_unsent = std::size_t{256} << 10;

// SSL_get_error() reads the thread's errors first. Usually there are none, and a check for errors
// is cheaper than clearing the whole queue.
void forget_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

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

int TlsTransport::on_bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) noexcept {
  auto& self = *static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *got = self.did_enough() ? 0 : std::min(size, self.input_.size());
  if (*got == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(into, self.input_.data(), *got);
  self.input_ = self.input_.subspan(*got);
  return 1;
}

int TlsTransport::on_bio_write(BIO* bio, const char* from, std::size_t size,
                               std::size_t* put) noexcept {
  auto& self = *static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(from, size));
  try {
    std::vector<std::byte>& output = self.scratch_->output();
    output.insert(output.end(), bytes.begin(), bytes.end());
  } catch (const std::bad_alloc&) {
    return 0;
  }
  *put = size;
  return 1;
}

// OpenSSL calls this when it has read or written the header of a record.
void TlsTransport::on_record(int written, int, int content_type, const void*, std::size_t, SSL* ssl,
                             void*) noexcept {
  auto* const self = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  if (self != nullptr && written == 0 && content_type == SSL3_RT_HEADER) ++self->records_;
}

long TlsTransport::on_bio_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// ---- steps

void TlsTransport::Kept::consume(std::size_t bytes) noexcept {
  at_ += static_cast<std::uint32_t>(bytes);
  if (!empty()) return;
  bytes_.reset();
  at_ = size_ = 0;
}

bool TlsTransport::Kept::append(std::span<const std::byte> more) noexcept {
  if (more.empty()) return true;
  std::unique_ptr<std::byte[]> all(new (std::nothrow) std::byte[size() + more.size()]);
  if (all == nullptr) return false;
  if (!empty()) std::memcpy(all.get(), bytes().data(), size());
  std::memcpy(all.get() + size(), more.data(), more.size());
  size_ = static_cast<std::uint32_t>(size() + more.size());
  at_ = 0;
  bytes_ = std::move(all);
  return true;
}

// Calls OpenSSL until it is done or needs ciphertext that has not arrived.
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

// Receives ciphertext into `input_`. Returns whether it received any. After a short read it does
// not read again in the same call.
bool TlsTransport::receive() noexcept {
  if (did_enough()) return false;  // read() reports that there is more
  if (drained_ || ended_below_) {
    drained_ = true;
  } else if (receives_ == max_receives) {
    return false;  // the descriptor stays readable
  } else {
    ++receives_;
    const std::span<std::byte> buffer = scratch_->input();
    if (buffer.empty()) {
      fail(Errc::no_memory);
      return false;
    }
    const iovec into{buffer.data(), buffer.size()};
    const Transfer got = below_->read({&into, 1});
    drained_ = got.bytes < buffer.size();
    switch (got.state) {
      case State::ok:
        undeciphered_.consume(
            undeciphered_.size());  // OpenSSL has used all of it, because it needs more
        input_ = buffer.first(got.bytes);
        received_ = heard_ = true;
        return true;
      case State::wait_read:
      case State::wait_write:
        return false;
      case State::end:
        ended_below_ = true;
        break;
      case State::failed:
        fail(got.error);
        return false;
    }
  }
  if (!ended_below_) return false;
  // The system reports a reset once. In this case it has reported it to a write.
  if (write_error_) {
    fail(write_error_);
    return false;
  }
  // Without close_notify the end may be a truncation (RFC 8446 §6.1). A peer that never sent a byte
  // does not have to send one.
  fail(heard_ ? Errc::tls_truncated : Errc::end_of_stream);
  return false;
}

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
  return phase_ == Phase::open ? Step::done : Step::failed;
}

// ---- reading

net::Transport::Transfer TlsTransport::read(std::span<const iovec> into) noexcept {
  if (discarding_) return below_->read(into);
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  if (unsent_.size() > max_unsent) {
    if (flush().state == State::wait_write) return {.state = State::wait_write};
  }
  if (phase_ == Phase::handshake && !scratch_->take_handshake_step()) {
    return {.state = State::wait_read};  // the next turn tries again
  }
  Step step = Step::wait;
  for (bool could_write = true; could_write && step == Step::wait;) {
    could_write = !write_error_;
    begin_call();
    step = shake_hands();
    const std::size_t got = step == Step::done ? read_some(into, step) : 0;
    end_call();
    const bool more = step != Step::wait || (did_enough() && !undeciphered_.empty());
    if (got > 0) return {.bytes = got, .more = more};
    if (step == Step::wait && more) return {.state = State::wait_read, .more = true};
    if (!write_error_) break;
  }
  // If an answer that reading caused cannot be written, read() must report the failure, because no
  // other call does. But first it delivers all that arrived before.
  if (write_error_ && step == Step::wait) fail(write_error_);
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  return {.state = step == Step::ended ? State::end : State::wait_read};
}

// Whether a call of OpenSSL could only report that it needs ciphertext. Such a call is slow: one
// before and one behind each message of 64 bytes would cost a quarter of the time for deciphering.
bool TlsTransport::starves() const noexcept {
  return input_.empty() && SSL_has_pending(ssl_.get()) == 0 &&
         (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) == 0;
}

// Fills the pieces one after the other. `step` becomes Step::done if all are full.
std::size_t TlsTransport::read_some(std::span<const iovec> into, Step& step) noexcept {
  std::size_t total = 0;
  for (const iovec& piece : into) {
    auto* at = static_cast<std::byte*>(piece.iov_base);
    for (std::size_t left = piece.iov_len; left > 0;) {
      if (starves() && !receive()) {
        step = phase_ == Phase::failed ? Step::failed : Step::wait;
        return total;
      }
      std::size_t got = 0;
      step = run([&] { return SSL_read_ex(ssl_.get(), at, left, &got); });
      if (step != Step::done) return total;
      total += got;
      at += got;
      left -= got;
    }
  }
  return total;
}

// ---- writing

net::Transport::Transfer TlsTransport::write(std::span<const iovec> from) noexcept {
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  if (!unsent_.empty()) {
    if (const Transfer flushed = flush(); flushed.state != State::ok) return flushed;
  }
  if (write_error_) return {.error = write_error_, .state = State::failed};
  const std::size_t owed = std::exchange(owed_, 0);
  begin_call();
  Step step = shake_hands();
  std::size_t put = owed + (step == Step::done ? write_some(from, owed, step) : 0);
  end_call();
  if (write_error_) return {.error = write_error_, .state = State::failed};
  if (put > 0) {
    std::size_t offered = 0;
    for (const iovec& piece : from) offered += piece.iov_len;
    // If the last piece has one byte, the caller would see it as untouched and might not offer it
    // again.
    if (!unsent_.empty() && put == offered && from.back().iov_len > 1) put -= owed_ = 1;
    return {.bytes = put};
  }
  if (phase_ == Phase::failed) return {.error = error_, .state = State::failed};
  return {.state = unsent_.empty() ? State::wait_read : State::wait_write};
}

// Enciphers pieces as long as the system takes the ciphertext. Small pieces are joined, because a
// record costs at least 22 bytes and work for the peer. `skip` bytes of the first piece are already
// taken.
std::size_t TlsTransport::write_some(std::span<const iovec> from, std::size_t skip,
                                     Step& step) noexcept {
  const std::span<std::byte> record = scratch_->record();
  if (record.empty()) {
    fail(Errc::no_memory);
    return 0;
  }
  std::size_t total = 0;
  while (!from.empty() && total < max_written) {
    const std::byte* start = static_cast<const std::byte*>(from.front().iov_base) + skip;
    std::size_t size = std::min(from.front().iov_len - skip, record.size());
    const bool whole = size == record.size() || from.size() == 1;
    if (!whole) {
      std::size_t within = skip;
      size = 0;
      for (const iovec& piece : from) {
        const std::size_t part = std::min(piece.iov_len - within, record.size() - size);
        std::memcpy(record.data() + size, static_cast<const std::byte*>(piece.iov_base) + within,
                    part);
        size += part;
        within = 0;
        if (size == record.size()) break;
      }
      start = record.data();
    }
    std::size_t put = 0;
    if (size > 0) step = run([&] { return SSL_write_ex(ssl_.get(), start, size, &put); });
    if (step != Step::done) return total;
    total += put;
    for (skip += put; !from.empty() && skip >= from.front().iov_len; from = from.subspan(1)) {
      skip -= from.front().iov_len;
    }
    if (scratch_->output().size() < output_target) continue;
    send_output();
    if (!unsent_.empty() || write_error_) return total;
  }
  return total;
}

void TlsTransport::send_output() noexcept {
  std::vector<std::byte>& output = scratch_->output();
  std::span<const std::byte> rest = output;
  if (!rest.empty() && !write_error_ && unsent_.empty()) {
    const iovec from{const_cast<std::byte*>(rest.data()), rest.size()};  // it is only read
    const Transfer put = below_->write({&from, 1});
    if (put.state == State::failed) write_error_ = put.error;
    rest = rest.subspan(put.bytes);
  }
  if (!write_error_ && !unsent_.append(rest)) {
    write_error_ = make_error_code(Errc::no_memory);
  }
  output.clear();
  if (output.capacity() > kept_output) output.shrink_to_fit();
}

net::Transport::Transfer TlsTransport::flush() noexcept {
  while (!unsent_.empty() && !write_error_) {
    const std::span<const std::byte> rest = unsent_.bytes();
    const iovec from{const_cast<std::byte*>(rest.data()), rest.size()};
    const Transfer put = below_->write({&from, 1});
    if (put.state == State::wait_write || put.state == State::wait_read) return put;
    if (put.state == State::failed) write_error_ = put.error;
    unsent_.consume(put.bytes);
  }
  if (write_error_) {
    unsent_.consume(unsent_.size());
    return {.error = write_error_, .state = State::failed};
  }
  on_unsent_gone();
  return {};
}

Delivery TlsTransport::delivery() const noexcept {
  Delivery delivery = below_->delivery();
  delivery.waiting += static_cast<std::uint32_t>(unsent_.size());
  return delivery;
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
    if (explanation_ != nullptr) return fail(Errc::tls_certificate_refused, *explanation_);
    const bool no_certificate = lacks_certificate();
    const std::string why = describe_failure(is_server() ? "client" : "server");
    fail(no_certificate ? Errc::tls_certificate_refused : Errc::tls_failed, why);
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
