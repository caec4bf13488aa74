// The effect of proxies in front of the server on its connections and requests.
#pragma once

#include "tern/behind_proxy.h"
#include "tern/http.h"

#include "connection/live_connection.h"
#include "server/core.h"

#include <string>

namespace tern::server {

/// Returns whether the options name any proxy. Without one no function here has work to do.
inline bool may_have_proxies(const Core& core) noexcept {
  return !core.trusted_proxies.empty() || !core.proxy_protocol_peers.empty();
}

/// Returns whether a new connection must begin with a PROXY header. It makes a system call only if
/// there are such peers.
bool must_have_proxy_header(const Core& core, int socket) noexcept;

/// Finds out which client sent the request that waits, through which host and by which scheme. From
/// then on LiveConnection::remote_address() is that client, and the engine judges the Origin by
/// that host and scheme. Without memory the connection ends. Thread: the connection's loop.
void hear_proxies(const Core& core, connection::LiveConnection& connection) noexcept;

/// The address of the client without its port, or the name behind which a proxy hides it: the key
/// by which clients are counted. Of a connection that came through a trusted HTTP proxy it is known
/// after hear_proxies(), of any other from the first request on. Throws std::bad_alloc.
std::string client_key(const connection::LiveConnection& connection);

/// The parts of a Request that a proxy in front of the connection told.
class ProxyWords {
 public:
  ProxyWords() noexcept = default;
  /// Throws std::bad_alloc.
  explicit ProxyWords(const connection::LiveConnection& connection);
  ProxyWords(const ProxyWords&) = delete;
  ProxyWords& operator=(const ProxyWords&) = delete;

  /// Lifetime of the views: this object and the connection.
  void add_to(Request::Parts& parts) const noexcept;

 private:
  std::string peer_address_{};
  ProxyHeader header_{};
  bool has_header_ = false;
};

}  // namespace tern::server
