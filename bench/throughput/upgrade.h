// Connects and upgrades sockets without the library's own client, because the bench must cost less
// than the server that it measures.
#pragma once

#include "net/fd.h"
#include "throughput/wire.h"

#include <cstddef>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <string_view>

namespace tern::bench {

/// The address of a URL, and the request that upgrades there.
struct Target {
  sockaddr_in address{};
  std::string request{};
  std::shared_ptr<ClientTls> tls{};  ///< null: ws://
  bool deflate = false;              ///< the request offers it, without context takeover

  /// Throws std::runtime_error when the URL is wrong or its host unknown.
  static Target parse(const std::string& url, bool deflate = false);
};

/// Whether `head` is a 101 that answers Target::request. RFC 6455 §4.1.
bool is_accepted(std::string_view head) noexcept;

/// Starts to connect a socket, from 127.0.0.<source> unless that is 0, because each source address
/// has only 28 000 ports. `flags` are those of socket(), such as SOCK_NONBLOCK. Throws
/// std::system_error.
net::Fd start_connect(const Target& target, int source, int flags);

/// Connects, upgrades, and returns the non-blocking socket. Waits for the answer, at most 30 s.
/// Throws std::runtime_error, also when the server did not agree to the compression as offered, and
/// std::system_error.
Wire connect_and_upgrade(const Target& target, int source = 0);

/// The source for start_connect() of the connection with this number. Each source address has 20
/// 000 connections.
int source_of(std::size_t connection) noexcept;

/// Makes close() send RST, so that no port stays in TIME_WAIT.
void reset_on_close(int socket) noexcept;

}  // namespace tern::bench
