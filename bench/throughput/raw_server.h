// What every server on epoll must do before it may echo: listen, accept, answer upgrades, wait for
// events. The raw echo and the bare one share it.
#pragma once

#include "net/fd.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <sys/epoll.h>
#include <utility>

namespace tern::bench {

/// How a server waits.
enum class Waiting : std::uint8_t {
  sleeping,
  spinning,   ///< polls epoll
  on_socket,  ///< from a connection's upgrade on, polls it alone, without epoll, until it ends: no
              ///< server could answer sooner, nor have a second connection
};

/// Serves one connection, from its upgrade on.
class RawConnection {
 public:
  explicit RawConnection(net::Fd socket) noexcept : socket_(std::move(socket)) {}
  virtual ~RawConnection() = default;
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  int socket() const noexcept { return socket_.get(); }
  /// Does what `events` allow; the socket may have nothing all the same. Returns those to wait for
  /// from now on, EPOLLIN or EPOLLOUT or both; 0: the connection is over.
  virtual std::uint32_t on_ready(std::uint32_t events) = 0;

 private:
  net::Fd socket_;
};

using MakeConnection = std::function<std::unique_ptr<RawConnection>(net::Fd socket)>;

class RawServer {
 public:
  /// Listens on 127.0.0.1; port 0: the system chooses. Throws std::system_error.
  RawServer(std::uint16_t port, Waiting waiting, MakeConnection make_connection);

  /// Says where it listens, and serves until SIGTERM or SIGINT. While it polls one socket alone,
  /// they end the process. Throws std::system_error.
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
