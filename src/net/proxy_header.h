// The PROXY protocol: a header in front of a connection, in which a proxy tells the addresses of
// its client.
#pragma once

#include "net/address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern::net {

/// The contents of PP2_TYPE_SSL about TLS between the client and the proxy.
struct ProxiedTls {
  bool used = false;         ///< the client speaks TLS (PP2_CLIENT_SSL)
  bool certificate = false;  ///< the client showed a certificate
  bool verified = false;     ///< the certificate was verified
  std::string version{};     ///< e.g. "TLSv1.3"
  std::string cipher{};
  std::string common_name{};  ///< of the client's certificate
};

/// The connection of a client, as its proxy describes it.
struct ProxiedClient {
  std::optional<Address>
      address{};  ///< absent: another family, or the connection is the proxy's own
  std::optional<std::string> unix_path{};  ///< the client's Unix socket
  std::string authority{};  ///< the host that the client named (SNI); empty if it is not told
  std::string unique_id{};  ///< any bytes; empty if it is not told
  std::optional<ProxiedTls> tls{};
};

/// Parses one header of version 1 or 2 from bytes that arrive in any pieces. It takes no byte
/// behind the header. It reports a fault at the byte that causes it, or at the end of the header.
/// Its memory follows the bytes that arrived.
///
/// The specification is proxy-protocol.txt of HAProxy.
class ProxyHeaderParser {
 public:
  /// The longest header of version 1 with its CRLF, §2.1.
  static constexpr std::size_t max_v1_bytes = 107;
  /// The longest block of addresses and TLVs of version 2 that is accepted.
  static constexpr std::size_t max_v2_block = 4096;

  enum class Status : std::uint8_t { more, done, failed };

  /// Takes bytes up to the end of the header. Returns how many it took; 0 unless status() is
  /// `more`. Throws std::bad_alloc.
  std::size_t feed(std::span<const std::byte> input);

  Status status() const noexcept { return status_; }
  /// Returns whether a byte was taken.
  bool started() const noexcept { return !bytes_.empty(); }
  /// The client; status() must be `done`.
  ProxiedClient& client() noexcept { return client_; }
  /// Why it failed, for people.
  std::string_view why() const noexcept { return why_; }

 private:
  std::size_t wanted() noexcept;
  void on_bytes();
  void parse_v1(std::string_view line);
  void parse_v2();
  bool parse_addresses(std::span<const std::byte>& block, unsigned family);
  bool parse_tlvs(std::span<const std::byte> block);
  bool parse_tls(std::span<const std::byte> block);
  bool checksum_fits(std::span<const std::byte> checksum) const noexcept;
  void fail(std::string_view why) noexcept;

  std::string bytes_{};  // the header so far
  ProxiedClient client_{};
  std::string_view why_{};
  Status status_ = Status::more;
};

}  // namespace tern::net
