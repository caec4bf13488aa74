// Starts the broker of a package, and speaks its protocol with whole blocks of bytes, so that the
// load costs less than what is measured.
#include "throughput/broker.h"

#include "throughput/system.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>

namespace tern::bench {
namespace {

constexpr Seconds patience{10};
constexpr auto try_every = std::chrono::milliseconds(5);

sockaddr_in local(std::uint16_t port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The system gives out another port for some time, so the broker gets this one.
std::uint16_t free_port() {
  const net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = local(0);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw_errno("bind");
  }
  return ntohs(address.sin_port);
}

net::Fd try_connect(std::uint16_t port) {
  net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = local(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return net::Fd();
  }
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

std::vector<std::string> command_of(BrokerKind kind, std::uint16_t port) {
  const auto program = program_of(kind);
  if (!program) throw std::runtime_error(std::string(to_string(kind)) + " is not installed");
  if (kind == BrokerKind::nats) {
    return {*program, "-a", "127.0.0.1", "-p", std::to_string(port), "-l", "/dev/null"};
  }
  return {*program, "--bind",       "127.0.0.1", "--port",    std::to_string(port), "--save",
          "",       "--appendonly", "no",        "--logfile", "/dev/null"};
}

void say(int socket, std::string_view text) {
  if (::send(socket, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    throw_errno("send to the broker");
  }
}

// Reads until `awaited` has come.
void read_until(int socket, std::string_view awaited) {
  std::string text;
  std::array<char, 1024> buffer;
  while (text.find(awaited) == std::string::npos) {
    const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got <= 0) throw std::runtime_error("the broker closed the connection");
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

void never_block(int socket) noexcept {
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
}

net::Fd greet(const Broker& broker) {
  net::Fd socket = try_connect(broker.port());
  if (!socket) throw_errno("connect to the broker");
  if (broker.kind() == BrokerKind::nats) {
    say(socket.get(), "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}\r\nPING\r\n");
    read_until(socket.get(), "PONG\r\n");
  }
  return socket;
}

}  // namespace

std::string_view to_string(BrokerKind kind) noexcept {
  return kind == BrokerKind::nats ? "nats-server" : "redis-server";
}

std::optional<std::string> program_of(BrokerKind kind) {
  for (const std::string directory : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
    std::string path = directory + std::string(to_string(kind));
    if (std::filesystem::exists(path)) return path;
  }
  return {};
}

Broker::Broker(BrokerKind kind, int core, bool realtime)
    : kind_(kind), port_(free_port()), child_(command_of(kind, port_), core, realtime) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience);
  while (!try_connect(port_)) {
    if (Clock::now() > end) throw std::runtime_error(url() + " does not accept");
    std::this_thread::sleep_for(try_every);
  }
}

Broker::~Broker() { resume(); }

std::string Broker::url() const {
  return (kind_ == BrokerKind::nats ? "nats" : "redis") + std::string("://127.0.0.1:") +
         std::to_string(port_);
}

void Broker::pause() const noexcept { ::kill(pid(), SIGSTOP); }
void Broker::resume() const noexcept { ::kill(pid(), SIGCONT); }
void Broker::kill() const noexcept { ::kill(pid(), SIGKILL); }

net::Fd connect_to(const Broker& broker) {
  net::Fd socket = greet(broker);
  never_block(socket.get());
  return socket;
}

net::Fd subscribe_to(const Broker& broker, std::string_view channel) {
  net::Fd socket = greet(broker);
  const std::string name(channel);
  if (broker.kind() == BrokerKind::nats) {
    say(socket.get(), "SUB " + name + " 1\r\nPING\r\n");
    read_until(socket.get(), "PONG\r\n");
  } else {
    say(socket.get(), "SUBSCRIBE " + name + "\r\n");
    read_until(socket.get(), ":1\r\n");
  }
  never_block(socket.get());
  return socket;
}

std::vector<std::byte> publication(BrokerKind kind, std::string_view channel,
                                   std::string_view payload) {
  const auto bulk = [](std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  };
  const std::string text = kind == BrokerKind::nats
                               ? "PUB " + std::string(channel) + ' ' +
                                     std::to_string(payload.size()) + "\r\n" +
                                     std::string(payload) + "\r\n"
                               : "*3\r\n" + bulk("PUBLISH") + bulk(channel) + bulk(payload);
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

}  // namespace tern::bench
