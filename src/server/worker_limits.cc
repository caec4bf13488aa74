// The connections and upgrades that a worker refuses on every route: at the limit of all
// connections, at the limits of an address, and while it drains.
#include "net/peer.h"
#include "net/proxy_header.h"
#include "net/socket.h"
#include "server/behind_proxy.h"
#include "server/handshake.h"
#include "server/worker.h"

#include <array>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace tern::server {

using connection::LiveConnection;

// Written without an engine, because at a limit there is no room for one. Needs no memory. A client
// that expects TLS could not read the answer.
void Worker::turn_away(int socket, PlaceKind from, std::string_view status) noexcept {
  constexpr std::string_view fields =
      "\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\nDate: ";
  std::array<char, 192> bytes{};
  set_wall_clock();
  std::size_t size = 0;
  for (const std::string_view part : {std::string_view("HTTP/1.1 "), status, fields,
                                      workspace_.date(loop_.now()), std::string_view("\r\n\r\n")}) {
    size += part.copy(bytes.data() + size, bytes.size() - size);
  }
  if (!from.secure) net::send_once(socket, std::as_bytes(std::span(bytes).first(size)));
  net::shutdown_write(socket);
}

// Nothing if a proxy is connected, because its clients are counted, not the proxy. Nothing for a
// Unix socket, too.
std::optional<ClientKey> Worker::direct_client(int socket) const noexcept {
  const net::Peer peer = net::peer_of(socket);
  const bool is_proxy =
      core_.trusted_proxies.contains(peer) || core_.proxy_protocol_peers.contains(peer);
  if (is_proxy || !peer.address) return {};
  return key_of(*peer.address);
}

bool Worker::is_counted(const LiveConnection& connection) const noexcept {
  const std::size_t slot = connection.place().slot;
  return slot < clients_.size() && clients_[slot].has_value();
}

// A connection that ended at once has left its slot already.
void Worker::keep_client(const LiveConnection& connection, ClientKey client) noexcept {
  const std::size_t slot = connection.place().slot;
  try {
    if (shared_.registry->at(slot) == &connection) {
      if (clients_.size() <= slot) clients_.resize(slot + 1);
      clients_[slot] = client;
      return;
    }
  } catch (const std::bad_alloc&) {  // it is served, and not counted
  }
  core_.address_limits.disconnect(client);
}

void Worker::forget_client(std::size_t slot) noexcept {
  if (slot >= clients_.size() || !clients_[slot]) return;
  core_.address_limits.disconnect(*std::exchange(clients_[slot], {}));
}

// Answers the upgrade and returns false if the worker refuses it on every route.
bool Worker::may_upgrade(LiveConnection& connection) noexcept {
  if (connection.is_late()) {
    metrics_.refused(Errc::overloaded);
    Handshake(connection).respond_later(503);
    return false;
  }
  try {
    if (count_upgrade(connection)) return true;
  } catch (const std::bad_alloc&) {
    connection.terminate(Errc::no_memory);
    return false;
  }
  metrics_.upgrades_limited.add();
  Handshake(connection).respond_later(429);
  return false;
}

// A connection of a proxy was not counted when it was accepted, because its client was unknown.
bool Worker::count_upgrade(const LiveConnection& connection) {
  AddressLimits& limits = core_.address_limits;
  // A proxy that does not name its client has no limit, because all its clients would share it.
  const net::ProxiedClient* const proxied = connection.transport().proxied();
  const bool told = connection.has_told_address() || (proxied != nullptr && proxied->address);
  if (!told && !direct_client(connection.transport().fd())) return true;
  const std::optional<ClientKey> client = key_of(client_key(connection));
  if (!client) return true;
  if (limits.counts_connections() && !is_counted(connection)) {
    if (!limits.connect(*client)) return false;
    keep_client(connection, *client);
  }
  return !limits.counts_upgrades() || limits.upgrade(*client, loop_.now());
}

}  // namespace tern::server
