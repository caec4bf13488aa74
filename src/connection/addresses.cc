// The address of a connection: that of its socket, that of its PROXY header, or the one that a
// trusted proxy wrote into the request. The last one that is known counts.
#include "connection/extras.h"
#include "connection/live_connection.h"
#include "net/proxy_header.h"
#include "net/socket.h"

#include <array>
#include <memory>
#include <utility>

namespace tern::connection {

std::string LiveConnection::remote_address() const {
  if (has_told_address()) return *extras_->remote_address;
  if (const net::ProxiedClient* const client = transport_->proxied()) {
    if (client->address) return client->address->to_string();
    if (client->unix_path) return "unix:" + *client->unix_path;
  }
  return peer_address();
}

std::string LiveConnection::peer_address() const { return net::peer_name(transport_->fd()); }

bool LiveConnection::has_told_address() const noexcept {
  return extras_ != nullptr && extras_->remote_address != nullptr;
}

void LiveConnection::set_remote_address(std::string address) {
  if (address.empty()) {
    if (extras_) extras_->remote_address.reset();
    return;
  }
  make_extras().remote_address = std::make_unique<std::string>(std::move(address));
}

// Needs no memory, because the exception may be a lack of memory.
void LiveConnection::on_exception(std::string_view what) noexcept {
  std::array<char, net::Address::max_text> buffer;
  std::string_view text;
  const net::ProxiedClient* const client = transport_->proxied();
  if (has_told_address()) {
    text = *extras_->remote_address;
  } else {
    const net::Address peer = client != nullptr && client->address
                                  ? *client->address
                                  : net::peer_address(transport_->fd());
    if (peer.port() != 0) text = peer.format(buffer);
  }
  log_exception(environment_->shared.log, name(), what, text);
}

}  // namespace tern::connection
