#pragma once

#include "net/network.h"
#include "net/peer.h"

#include <string>
#include <vector>

namespace tern::server {

/// A list of peers in the options of a server: networks, and maybe all peers of Unix sockets.
class TrustedPeers {
 public:
  /// Returns why this entry is none ("10.0.0.0/8", "::1", "unix:"); empty if it is one. The entry
  /// and this text form a sentence. Throws std::bad_alloc.
  static std::string why_invalid(std::string_view entry);

  TrustedPeers() noexcept = default;
  /// Leaves out invalid entries. Throws std::bad_alloc.
  explicit TrustedPeers(const std::vector<std::string>& entries);

  bool empty() const noexcept { return networks_.empty() && !unix_sockets_; }
  bool has_unix_sockets() const noexcept { return unix_sockets_; }
  bool contains(const net::Address& address) const noexcept;
  bool contains(const net::Peer& peer) const noexcept;

 private:
  std::vector<net::Network> networks_{};
  bool unix_sockets_ = false;
};

}  // namespace tern::server
