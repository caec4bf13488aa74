// An echo server on a poll loop of its own. Of tern it uses only tern::Engine, the protocol as a
// value: the sockets, the clock and the loop belong to this program. Any other loop drives the
// engine in the same way.
#include "tern/engine.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <list>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  int fd;
  tern::Engine engine;
  bool fin_sent = false;
  Clock::time_point give_up = Clock::time_point::max();  // the deadline for the peer's FIN
};

// Handles the events of the engine: accepts each request and sends each message back.
void handle(tern::Engine& engine) {
  while (const tern::Event event = engine.next()) {
    if (event.kind() == tern::Event::Kind::request) engine.accept();
    if (event.kind() == tern::Event::Kind::message) engine.send(event.message());
  }
}

// Reads once. Bytes after the end are discarded. False: the peer has closed.
bool read_from(Connection& connection) {
  static std::array<std::byte, 65536> buffer;  // shared, because settle() releases it
  const ssize_t got = ::read(connection.fd, buffer.data(), buffer.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (connection.fin_sent) return got > 0;
  if (got > 0) connection.engine.feed(0, std::span(buffer).first(static_cast<std::size_t>(got)));
  if (got == 0) connection.engine.feed_eof();
  if (got < 0) connection.engine.feed_error({errno, std::system_category()});
  return true;
}

// Writes as much as the socket takes now.
void write_to(Connection& connection) {
  for (;;) {
    const auto output = connection.engine.output();
    if (output.empty()) return;
    const ssize_t put = ::writev(connection.fd, output.data(), static_cast<int>(output.size()));
    if (put < 0 && errno != EAGAIN) connection.engine.feed_error({errno, std::system_category()});
    if (put <= 0) return;
    connection.engine.consume_output(static_cast<std::size_t>(put));
  }
}

// One turn, with the engine's calls in their order. False: the connection is over.
bool turn(Connection& connection, short events) {
  tern::Engine& engine = connection.engine;
  const auto now = Clock::now();
  engine.advance(now);
  if ((events & (POLLIN | POLLERR | POLLHUP)) != 0 && !read_from(connection)) return false;
  handle(engine);
  write_to(connection);
  engine.settle();
  if (engine.deadline() <= now) engine.tick(now);
  handle(engine);  // the write or the deadline may have ended the connection
  if (engine.finished() && !connection.fin_sent) {
    ::shutdown(connection.fd, SHUT_WR);  // FIN first, because close() with unread input sends RST
    connection.fin_sent = true;
    connection.give_up = now + std::chrono::seconds(5);
  }
  return now < connection.give_up;
}

// Listens on this port of 127.0.0.1; 0: the system chooses one.
int listen_on(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in name{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (::bind(fd, address, size) != 0 || ::listen(fd, SOMAXCONN) != 0) return -1;
  ::getsockname(fd, address, &size);  // the port
  std::cout << "listening on ws://127.0.0.1:" << ntohs(name.sin_port) << "/" << std::endl;
  return fd;
}

}  // namespace

int main(int count, char** arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  const int listener = listen_on(static_cast<std::uint16_t>(count > 1 ? atoi(arguments[1]) : 9001));
  if (listener < 0) return std::perror("listen"), 1;
  const tern::EngineOptions options;
  tern::Workspace workspace;
  std::list<Connection> connections;  // destroyed first, because the engines refer to the two above
  for (;;) {
    std::vector<pollfd> polled{{listener, POLLIN, 0}};
    for (Connection& each : connections) {
      short events = each.fin_sent || each.engine.wants_input() ? POLLIN : 0;
      if (each.engine.queued_bytes() > 0) events |= POLLOUT;
      polled.push_back({each.fd, events, 0});
    }
    ::poll(polled.data(), polled.size(), 500);  // so deadlines are checked at least twice a second
    auto ready = polled.begin() + 1;
    connections.remove_if([&](Connection& each) {
      const bool lives = turn(each, (ready++)->revents);
      if (!lives) ::close(each.fd);
      return !lives;
    });
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd >= 0) connections.push_back({fd, *tern::Engine::server(options, workspace)});
  }
}
