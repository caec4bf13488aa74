// TLS runs between two memory BIOs, so that one recv brings, and one send takes, as many records as
// there are: the client must cost less than the server.
#include "throughput/wire.h"

#include "throughput/system.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <utility>

namespace tern::bench {
namespace {

constexpr std::size_t ciphertext_bytes = std::size_t{64} << 10;
constexpr int patience_ms = 5'000;

int limited(std::size_t size) noexcept {
  return static_cast<int>(std::min<std::size_t>(size, 1 << 30));
}

void wait_for(const Wire& wire, short events) {
  pollfd ready{.fd = wire.socket(), .events = events, .revents = 0};
  if (::poll(&ready, 1, patience_ms) != 1) {
    throw std::runtime_error(events == POLLIN ? "no reply for five seconds"
                                              : "nothing was read for five seconds");
  }
}

}  // namespace

std::shared_ptr<ssl_ctx_st> make_client_tls() {
  std::shared_ptr<ssl_ctx_st> context(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free);
  if (!context || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      ::SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") != 1) {
    throw std::runtime_error("OpenSSL has no TLS 1.3 with AES-128-GCM");
  }
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

void Wire::FreeSsl::operator()(ssl_st* ssl) const noexcept { ::SSL_free(ssl); }

Wire::Wire(net::Fd socket, ssl_ctx_st* tls) : socket_(std::move(socket)) {
  if (tls == nullptr) return;
  ssl_.reset(::SSL_new(tls));
  BIO* const in = ::BIO_new(::BIO_s_mem());
  BIO* const out = ::BIO_new(::BIO_s_mem());
  if (!ssl_ || in == nullptr || out == nullptr) throw std::runtime_error("no memory for TLS");
  ::SSL_set_bio(ssl_.get(), in, out);
  ::SSL_set_connect_state(ssl_.get());
}

Wire::Wire(Wire&&) noexcept = default;
Wire& Wire::operator=(Wire&&) noexcept = default;
Wire::~Wire() = default;

ssize_t Wire::receive(void* into, std::size_t most, int flags) noexcept {
  if (ssl_) return receive_tls(static_cast<std::byte*>(into), most);
  const ssize_t got = ::recv(socket_.get(), into, most, flags);
  if (got > 0) received_ += static_cast<std::uint64_t>(got);
  return got;
}

// One recv to the BIO that OpenSSL reads from.
ssize_t Wire::refill() noexcept {
  std::array<std::byte, ciphertext_bytes> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got <= 0) return got;
  received_ += static_cast<std::uint64_t>(got);
  ::BIO_write(::SSL_get_rbio(ssl_.get()), buffer.data(), static_cast<int>(got));
  return got;
}

ssize_t Wire::receive_tls(std::byte* into, std::size_t most) noexcept {
  std::size_t total = 0;
  bool dry = false;
  while (total < most) {
    const int got = ::SSL_read(ssl_.get(), into + total, limited(most - total));
    if (got > 0) {
      total += static_cast<std::size_t>(got);
      continue;
    }
    const int why = ::SSL_get_error(ssl_.get(), got);
    if (why != SSL_ERROR_WANT_READ) {
      ::ERR_clear_error();
      errno = EPROTO;
      return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
    if (!flush()) return -1;  // the handshake speaks, too
    if (total > 0 && dry) break;
    const ssize_t more = refill();
    if (more <= 0)
      return total > 0 && more < 0 && errno == EAGAIN ? static_cast<ssize_t>(total) : more;
    dry = static_cast<std::size_t>(more) < ciphertext_bytes;
  }
  return static_cast<ssize_t>(total);
}

ssize_t Wire::send(std::span<const std::byte> bytes) noexcept {
  if (!ssl_) return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (!flush()) return -1;
  if (has_unsent()) {
    errno = EAGAIN;
    return -1;
  }
  for (;;) {
    const int put = ::SSL_write(ssl_.get(), bytes.data(), limited(bytes.size()));
    if (!flush()) return -1;
    if (put > 0) return put;
    if (::SSL_get_error(ssl_.get(), put) != SSL_ERROR_WANT_READ) {
      ::ERR_clear_error();
      errno = EPROTO;
      return -1;
    }
    if (const ssize_t more = refill(); more <= 0) {  // the handshake
      if (more == 0) errno = ECONNRESET;
      return -1;
    }
  }
}

bool Wire::has_unsent() const noexcept {
  return ssl_ && BIO_pending(::SSL_get_wbio(ssl_.get())) > 0;
}

bool Wire::flush() noexcept {
  if (!ssl_) return true;
  BIO* const out = ::SSL_get_wbio(ssl_.get());
  char* waiting = nullptr;
  long size = 0;
  while ((size = ::BIO_get_mem_data(out, &waiting)) > 0) {
    const ssize_t put =
        ::send(socket_.get(), waiting, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN;
    if (put == size) {
      static_cast<void>(BIO_reset(out));
    } else {
      // A memory BIO forgets what is read from it, and reading wants somewhere to go.
      std::array<std::byte, 4096> gone;
      for (ssize_t left = put; left > 0;) {
        left -=
            ::BIO_read(out, gone.data(),
                       limited(std::min<std::size_t>(gone.size(), static_cast<std::size_t>(left))));
      }
    }
  }
  return true;
}

void send_waiting(Wire& wire, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = wire.send(bytes);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      wait_for(wire, POLLOUT);
    } else {
      throw_errno("send");
    }
  }
  while (wire.has_unsent()) {
    wait_for(wire, POLLOUT);
    if (!wire.flush()) throw_errno("send");
  }
}

std::size_t receive_waiting(Wire& wire, std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = wire.receive(into.data(), into.size(), 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) throw std::runtime_error("the server closed a connection");
    if (errno != EAGAIN) throw_errno("recv");
    wait_for(wire, POLLIN);
  }
}

}  // namespace tern::bench
