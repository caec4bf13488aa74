// A connection may come through two kinds of proxies at the same time: one that passes on TCP and
// writes a PROXY header, and behind it one that speaks HTTP and writes fields into each request.
//
//   client ─▶ HTTP proxies ─▶ TCP proxy ─▶ this server
//              fields          PROXY header
//
// The fields are believed if the machine that wrote the last of them is trusted. With a PROXY
// header this is the machine that the header names; otherwise it is the peer of the socket. A TCP
// proxy passes on the fields that a client wrote, so its own address says nothing about them.
#include "server/behind_proxy.h"

#include "net/peer.h"
#include "net/proxy_header.h"
#include "server/told.h"

#include <new>
#include <string_view>
#include <utility>

namespace tern::server {

using connection::LiveConnection;

namespace {

// The machine that is connected to this server, or to the TCP proxy in front of it.
net::Peer last_hop(const LiveConnection& connection) noexcept {
  const net::ProxiedClient* const client = connection.transport().proxied();
  if (client == nullptr) return net::peer_of(connection.transport().fd());
  // A header that names no IP address (UNKNOWN, LOCAL, a Unix socket) names no peer to trust.
  return {.address = client->address};
}

// A PROXY header without PP2_TYPE_SSL does not tell whether the proxy ended TLS.
Reached told_by_header(const net::ProxiedClient& client) {
  Reached how;
  if (client.tls) how.secure = client.tls->used;
  return how;
}

void hear(const Core& core, LiveConnection& connection) {
  Engine& engine = connection.engine();
  if (core.trusted_proxies.contains(last_hop(connection))) {
    Told told = told_by_proxies(engine.request().headers(), core.options.trusted_header,
                                core.trusted_proxies);
    // Without an address this forgets the client of the request before.
    connection.set_remote_address(std::move(told.address));
    engine.reached({.host = std::move(told.host), .secure = told.secure, .may_lack_port = true});
  } else if (const net::ProxiedClient* const client = connection.transport().proxied()) {
    if (client->address || client->unix_path || client->tls) {
      engine.reached(told_by_header(*client));
    }
  }
}

}  // namespace

bool must_have_proxy_header(const Core& core, int socket) noexcept {
  return !core.proxy_protocol_peers.empty() &&
         core.proxy_protocol_peers.contains(net::peer_of(socket));
}

void hear_proxies(const Core& core, LiveConnection& connection) noexcept {
  try {
    hear(core, connection);
  } catch (const std::bad_alloc&) {
    connection.terminate(Errc::no_memory);
  }
}

// An address with a port is "192.0.2.7:51234" or "[2001:db8::7]:51234"; without one it may have
// several colons and no bracket.
std::string client_key(const LiveConnection& connection) {
  std::string text = connection.remote_address();
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  const std::size_t colon = text.find(':');
  if (colon != text.npos && colon == text.rfind(':') && !text.starts_with("unix:")) {
    text.resize(colon);
  }
  return text;
}

ProxyWords::ProxyWords(const LiveConnection& connection) {
  const net::ProxiedClient* const client = connection.transport().proxied();
  if (client == nullptr && !connection.has_told_address()) return;
  peer_address_ = connection.peer_address();
  if (client == nullptr) return;
  has_header_ = true;
  header_.authority = client->authority;
  header_.unique_id = client->unique_id;
  if (!client->tls) return;
  header_.tells_tls = true;
  header_.tls = client->tls->used;
  header_.client_certificate = client->tls->certificate;
  header_.verified = client->tls->verified;
  header_.tls_version = client->tls->version;
  header_.tls_cipher = client->tls->cipher;
  header_.common_name = client->tls->common_name;
}

void ProxyWords::add_to(Request::Parts& parts) const noexcept {
  parts.peer_address = peer_address_;
  if (has_header_) parts.proxy_header = &header_;
}

}  // namespace tern::server
