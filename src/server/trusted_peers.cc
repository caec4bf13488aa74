// The lists trusted_proxies and proxy_protocol.from.
#include "server/trusted_peers.h"

#include <algorithm>
#include <string_view>

namespace tern::server {
namespace {

constexpr std::string_view unix_entry = "unix:";

}  // namespace

std::string TrustedPeers::why_invalid(std::string_view entry) {
  if (entry == unix_entry) return {};
  if (const auto network = net::Network::parse(entry)) {
    if (network->is_exact()) return {};
    return "has bits behind its prefix: write \"" + network->to_string() + '"';
  }
  if (entry.starts_with(unix_entry)) {
    return "names a Unix socket, and its peers have no names: write \"unix:\"";
  }
  if (entry.find('/') != std::string_view::npos) return "is no network: write \"10.0.0.0/8\"";
  return "is no numeric address: write \"127.0.0.1\", \"10.0.0.0/8\" or \"unix:\"";
}

TrustedPeers::TrustedPeers(const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    if (entry == unix_entry) {
      unix_sockets_ = true;
    } else if (const auto network = net::Network::parse(entry)) {
      networks_.push_back(*network);
    }
  }
}

bool TrustedPeers::contains(const net::Address& address) const noexcept {
  return std::ranges::any_of(
      networks_, [&](const net::Network& network) { return network.contains(address); });
}

bool TrustedPeers::contains(const net::Peer& peer) const noexcept {
  return peer.is_unix ? unix_sockets_ : peer.address && contains(*peer.address);
}

}  // namespace tern::server
