// Does as little as a server can: it answers upgrades and waits for events.
#include "throughput/raw_server.h"

#include "handshake/accept.h"
#include "throughput/system.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <signal.h>
#include <string_view>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace tern::bench {
namespace {

constexpr std::size_t max_head_bytes = 16'384;

/// The value of Sec-WebSocket-Key in a head that our own load wrote.
std::optional<handshake::AcceptValue> accept_of(const std::string& head) noexcept {
  constexpr std::string_view name = "Sec-WebSocket-Key: ";
  const std::size_t at = head.find(name);
  if (at == std::string::npos) return std::nullopt;
  return handshake::accept_for(std::string_view(head).substr(at + name.size(), 24));
}

}  // namespace

RawServer::RawServer(std::uint16_t port, Waiting waiting, MakeConnection make_connection)
    : waiting_(waiting), make_connection_(std::move(make_connection)) {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTERM);
  ::sigaddset(&stop, SIGINT);
  // A server that polls one socket reads no signalfd.
  if (waiting_ != Waiting::on_socket) ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  signals_ = net::Fd(::signalfd(-1, &stop, SFD_CLOEXEC));
  epoll_ = net::Fd(::epoll_create1(EPOLL_CLOEXEC));
  listener_ = net::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!signals_ || !epoll_ || !listener_) throw_errno("ceiling");
  const int on = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw_errno("listen on port " + std::to_string(port));
  }
  port_ = ntohs(address.sin_port);
  control(EPOLL_CTL_ADD, listener_.get(), EPOLLIN, &listener_);
  control(EPOLL_CTL_ADD, signals_.get(), EPOLLIN, &signals_);
}

int RawServer::run() {
  std::printf("listening on ws://127.0.0.1:%d/echo\n", port_);
  std::fflush(stdout);
  std::array<epoll_event, 512> events;
  const int timeout = waiting_ == Waiting::spinning ? 0 : -1;
  for (;;) {
    const int ready =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == &signals_) return 0;
      if (event.data.ptr == &listener_) {
        accept_all();
      } else {
        on_ready(*static_cast<Peer*>(event.data.ptr), event.events);
      }
    }
  }
}

void RawServer::control(int operation, int fd, std::uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) throw_errno("epoll_ctl");
}

void RawServer::accept_all() {
  for (;;) {
    net::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto peer = std::make_unique<Peer>(Peer{.connection = make_connection_(std::move(socket))});
    control(EPOLL_CTL_ADD, peer->connection->socket(), EPOLLIN, peer.get());
    peer.release();  // on_ready deletes it
  }
}

void RawServer::on_ready(Peer& peer, std::uint32_t events) {
  std::uint32_t wanted = EPOLLIN;
  if (peer.upgraded) {
    wanted = peer.connection->on_ready(events);
  } else if (!upgrade(peer)) {
    wanted = 0;
  } else if (peer.upgraded && waiting_ == Waiting::on_socket) {
    while (wanted != 0) wanted = peer.connection->on_ready(EPOLLIN | EPOLLOUT);
  }
  if (wanted == 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
    delete &peer;
  } else if (wanted != peer.awaited) {
    peer.awaited = wanted;
    control(EPOLL_CTL_MOD, peer.connection->socket(), wanted, &peer);
  }
}

// False: the connection is over.
bool RawServer::upgrade(Peer& peer) {
  const int socket = peer.connection->socket();
  std::array<char, max_head_bytes> buffer;
  const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  peer.head.append(buffer.data(), static_cast<std::size_t>(got));
  if (!peer.head.ends_with("\r\n\r\n")) return peer.head.size() < max_head_bytes;
  const auto accept = accept_of(peer.head);
  if (!accept) return false;
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  answer.append(accept->data(), accept->size());
  answer += "\r\n\r\n";
  peer.upgraded = true;
  peer.head = {};
  return ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(answer.size());
}

}  // namespace tern::bench
