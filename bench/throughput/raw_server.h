// The part of a server on epoll that comes before the echo: listen, accept, answer upgrades, wait
// for events. The raw echo and the bare echo share it.
#pragma once

#include "net/fd.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <sys/epoll.h>
#include <utility>

namespace tern::bench {

/// The way in which a server waits.
enum class Waiting : std::uint8_t {
  sleeping,
  spinning,   ///< polls epoll
  on_socket,  ///< polls one connection without epoll, from its upgrade to its end; no server can
              ///< answer sooner, but it has no second connection
};

/// Serves one connection after its upgrade.
class RawConnection {
 public:
  explicit RawConnection(net::Fd socket) noexcept : socket_(std::move(socket)) {}
  virtual ~RawConnection() = default;
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  int socket() const noexcept { return socket_.get(); }
  /// Reads and writes according to `events`; the socket may be empty all the same. Returns the
  /// events to wait for: EPOLLIN, EPOLLOUT or both. 0: the connection is over.
  virtual std::uint32_t on_ready(std::uint32_t events) = 0;

 private:
  net::Fd socket_;
};

using MakeConnection = std::function<std::unique_ptr<RawConnection>(net::Fd socket)>;

class RawServer {
 public:
  /// Listens on 127.0.0.1; port 0: the system chooses. Throws std::system_error.
  RawServer(std::uint16_t port, Waiting waiting, MakeConnection make_connection);

  /// Prints its URL and serves until SIGTERM or SIGINT. While it polls one socket alone, these
  /// signals end the process. Throws std::system_error.
  int run();

 private:
  struct Peer {
    std::unique_ptr<RawConnection> connection;
    std::string head{};  // of the request, until it is complete
    bool upgraded = false;
    std::uint32_t awaited = EPOLLIN;
  };

  void control(int operation, int fd, std::uint32_t events, void* data);
  void accept_all();
  void on_ready(Peer& peer, std::uint32_t events);
  static bool upgrade(Peer& peer);

  Waiting waiting_;
  MakeConnection make_connection_;
  std::uint16_t port_ = 0;
  net::Fd listener_{};
  net::Fd signals_{};
  net::Fd epoll_{};
};

}  // namespace tern::bench
