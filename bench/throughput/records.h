// TLS 1.3 for a client that must cost less than its server. OpenSSL makes the handshake. Afterwards
// the code here seals and opens the records, which takes a fifth of the instructions of SSL_read()
// and SSL_write().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct evp_cipher_ctx_st;
struct ssl_ctx_st;

namespace tern::bench {

/// One direction of a connection: AES-128-GCM, RFC 8446 §5.2.
class RecordKey {
 public:
  /// Derives the key and the IV from the traffic secret (§7.3). Throws std::runtime_error.
  RecordKey(std::span<const unsigned char> secret, bool seals);

  /// Appends records of application data.
  void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& out);
  /// Opens one whole record, header included, to `out`, which must have room for it. Returns the
  /// number of bytes of application data: all or none. Throws std::runtime_error when the record is
  /// not authentic or has a type that no server sends to this client.
  std::size_t open(std::span<const std::byte> record, std::byte* out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const noexcept;
  };

  std::array<unsigned char, 12> next_nonce() noexcept;

  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
  std::array<unsigned char, 12> iv_{};
  std::uint64_t sequence_ = 0;
};

inline constexpr std::size_t record_header_bytes = 5;
inline constexpr std::size_t max_record_bytes = record_header_bytes + 16'384 + 256;

/// Returns the size of the record at the beginning of `bytes`, or 0 if its header is incomplete.
std::size_t record_bytes(std::span<const std::byte> bytes) noexcept;

/// State that the TLS connections of one client share. Thread: one.
struct ClientTls {
  /// Offers only TLS 1.3 and AES-128-GCM, so that all servers use the same. Accepts any
  /// certificate. Throws std::runtime_error.
  ClientTls();

  std::shared_ptr<ssl_ctx_st> context;
  std::vector<std::byte> in;     ///< ciphertext that arrives
  std::vector<std::byte> out{};  ///< ciphertext to send
};

struct Shaken {
  std::array<RecordKey, 2> keys;  ///< the key for receiving, the key for sending
  std::vector<std::byte> ahead;   ///< ciphertext that has arrived behind the handshake
};

/// Makes the TLS handshake on a blocking socket. Throws std::runtime_error and std::system_error.
Shaken shake_hands(int socket, ClientTls& tls);

}  // namespace tern::bench
