// A socket that is connected, plain or with TLS on it: all that the bench knows of OpenSSL.
#pragma once

#include "net/fd.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <sys/types.h>

struct ssl_ctx_st;
struct ssl_st;

namespace tern::bench {

/// What the TLS connections of a client share. TLS 1.3 and AES-128-GCM, so that no server chooses
/// for itself, and any certificate is good enough. Throws std::runtime_error.
std::shared_ptr<ssl_ctx_st> make_client_tls();

class Wire {
 public:
  /// Null: plain. Else TLS, which begins with the first call of receive() or send().
  Wire(net::Fd socket, ssl_ctx_st* tls);
  Wire(Wire&&) noexcept;
  Wire& operator=(Wire&&) noexcept;
  ~Wire();

  int socket() const noexcept { return socket_.get(); }
  bool is_tls() const noexcept { return ssl_ != nullptr; }
  /// Bytes that came off the socket.
  std::uint64_t received() const noexcept { return received_; }

  /// As ::recv: -1 and errno for an error, EAGAIN too; 0 is the end. With TLS `flags` must be 0,
  /// and if less came than there is room for the socket was empty.
  ssize_t receive(void* into, std::size_t most, int flags) noexcept;
  /// As ::send. With TLS, what was taken may still wait here.
  ssize_t send(std::span<const std::byte> bytes) noexcept;
  /// With TLS: sends what waits until the socket takes no more. False: an error other than that.
  bool flush() noexcept;
  /// Whether something waits.
  bool has_unsent() const noexcept;

 private:
  struct FreeSsl {
    void operator()(ssl_st* ssl) const noexcept;
  };

  ssize_t receive_tls(std::byte* into, std::size_t most) noexcept;
  ssize_t refill() noexcept;

  net::Fd socket_;
  std::unique_ptr<ssl_st, FreeSsl> ssl_{};
  std::uint64_t received_ = 0;
};

/// Sends all of it, waiting for room. Throws std::runtime_error after five seconds without, and
/// std::system_error.
void send_waiting(Wire& wire, std::span<const std::byte> bytes);

/// Waits until something comes, and reads it. Throws std::runtime_error after five seconds without,
/// and at the end; std::system_error.
std::size_t receive_waiting(Wire& wire, std::span<std::byte> into);

}  // namespace tern::bench
