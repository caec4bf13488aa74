// The reading half of TlsTransport: it receives ciphertext from the transport below and deciphers
// it into the caller's room. Reading stops at a limit of work, not only where the caller's room is
// full, because a record may carry no plaintext at all.
#include "tern/error.h"

#include "tls/transport.h"

#include <algorithm>
#include <cstring>

namespace tern::tls {
namespace {

// The number of buffers of ciphertext that one call receives. Without this limit, records with no
// plaintext or with one byte would never fill the reader's room, and other connections would wait.
constexpr std::uint8_t max_receives = 4;
// If more than this is unsent, the transport stops reading. Otherwise a peer that causes answers
// (alerts, key updates) without reading them could fill the memory.
constexpr std::size_t max_unsent = std::size_t{256} << 10;

}  // namespace

// ---- what OpenSSL reads

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

// OpenSSL calls this when it has read or written the header of a record.
void TlsTransport::on_record(int written, int, int content_type, const void*, std::size_t, SSL* ssl,
                             void*) noexcept {
  auto* const self = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  if (self != nullptr && written == 0 && content_type == SSL3_RT_HEADER) ++self->records_;
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
    more_below_ = got.more;
    drained_ = got.bytes < buffer.size() && !got.more;
    switch (got.state) {
      case State::ok:
        undeciphered_.clear();  // OpenSSL has used all of it, because it needs more
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

// ---- what the caller reads

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
    const bool more = step != Step::wait || more_below_ || (did_enough() && !undeciphered_.empty());
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

}  // namespace tern::tls
