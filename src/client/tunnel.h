#pragma once

#include "client/http_connect.h"
#include "client/proxy.h"
#include "client/socks5.h"
#include "net/transport.h"

#include <cstdint>
#include <string_view>
#include <variant>

namespace tern::client {

/// Runs the handshake with a proxy over a transport, without waiting.
class Tunnel {
 public:
  /// The progress of the handshake, or the event that it waits for.
  enum class State : std::uint8_t { done, wait_read, wait_write, failed };

  /// Asks `proxy` for a tunnel to a host (an IPv6 address without brackets) and a port.
  /// Lifetime: `proxy` must outlive the tunnel. Throws std::bad_alloc.
  Tunnel(const ProxyServer& proxy, std::string_view host, std::uint16_t port,
         std::string_view user_agent, const Limits& limits);

  /// The head that is sent to an HTTP proxy; empty for SOCKS. Before the first advance(). Lifetime
  /// of the view: until then.
  std::string_view request_head() const noexcept;
  /// Moves all bytes that can be moved now. Throws std::bad_alloc.
  State advance(net::Transport& transport);
  /// The proxy's answer, or the failure of the transport. After `failed`.
  const Error& error() const noexcept { return error_; }

 private:
  State write(net::Transport& transport);
  State fail(Error error) noexcept;
  Error transport_error(std::error_code code, const net::Transport& transport) const;

  const ProxyServer& proxy_;
  std::variant<std::monostate, HttpConnect, Socks5> handshake_{};
  Error error_{std::error_code()};
};

}  // namespace tern::client
