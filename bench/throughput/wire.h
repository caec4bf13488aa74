// A connected socket, plain or with TLS.
#pragma once

#include "net/fd.h"
#include "throughput/records.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sys/types.h>
#include <vector>

namespace tern::bench {

class Wire {
 public:
  /// With `tls` null the connection is plain. Else this makes the TLS handshake, so the socket must
  /// block. Throws as shake_hands().
  Wire(net::Fd socket, ClientTls* tls);

  int socket() const noexcept { return socket_.get(); }
  bool is_tls() const noexcept { return tls_ != nullptr; }
  /// Bytes read from the socket.
  std::uint64_t received() const noexcept { return received_; }

  /// As ::recv: -1 and errno for an error, EAGAIN too; 0 is the end. With TLS `flags` must be 0.
  /// Throws as RecordKey::open().
  ssize_t receive(void* into, std::size_t most, int flags);
  /// Whether the socket was empty after the last receive(), which returned `got` bytes with room
  /// for `most`.
  bool was_emptied(std::size_t got, std::size_t most) const noexcept {
    return is_tls() ? dry_ && held_.empty() : got < most;
  }
  /// As ::send. With TLS, bytes that were taken may still wait in this object.
  ssize_t send(std::span<const std::byte> bytes);
  /// With TLS: appends the records of `plaintext` to `out`. The caller sends them itself and must
  /// not call send().
  void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& out) {
    (*keys_)[1].seal(plaintext, out);
  }
  /// With TLS: sends waiting bytes until the socket takes no more. False on any other error.
  bool flush() noexcept;
  /// Whether bytes wait.
  bool has_unsent() const noexcept { return !unsent_.empty(); }

 private:
  ssize_t receive_tls(std::span<std::byte> into);
  std::size_t give_held(std::span<std::byte> into);
  std::size_t open_records(std::span<const std::byte> bytes, std::span<std::byte> into);
  bool send_out(std::span<const std::byte> bytes, std::vector<std::byte>& rest) noexcept;

  net::Fd socket_;
  ClientTls* tls_;
  std::optional<std::array<RecordKey, 2>> keys_{};
  std::vector<std::byte> partial_{};  // of a record that is incomplete
  std::vector<std::byte> held_{};     // opened data that the caller had no room for
  std::vector<std::byte> unsent_{};
  bool dry_ = false;
  std::uint64_t received_ = 0;
};

/// Sends all bytes and waits for room. Throws std::runtime_error after five seconds without room,
/// and std::system_error.
void send_waiting(Wire& wire, std::span<const std::byte> bytes);

/// Waits until bytes arrive, and reads them. Throws std::runtime_error after five seconds without
/// any and at the end of the stream, and std::system_error.
std::size_t receive_waiting(Wire& wire, std::span<std::byte> into);

}  // namespace tern::bench
