// Sends the same key in each upgrade, so that the expected answer is a constant.
#include "throughput/upgrade.h"

#include "http/url.h"
#include "throughput/system.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/time.h>

namespace tern::bench {
namespace {

// The sample of RFC 6455 §1.3 and its answer.
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accept_value = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view offer =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover\r\n";
constexpr int wait_seconds = 30;
constexpr std::size_t connections_per_source = 20'000;

sockaddr_in resolve(const std::string& host, std::uint16_t port) {
  const addrinfo hints{.ai_flags = AI_NUMERICSERV,
                       .ai_family = AF_INET,
                       .ai_socktype = SOCK_STREAM,
                       .ai_protocol = 0,
                       .ai_addrlen = 0,
                       .ai_addr = nullptr,
                       .ai_canonname = nullptr,
                       .ai_next = nullptr};
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) throw std::runtime_error(host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr = reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr;
  return address;
}

void bind_source(int socket, int source) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + static_cast<std::uint32_t>(source));
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw_errno("bind to 127.0.0." + std::to_string(source));
  }
}

std::string read_head(Wire& wire) {
  std::string head;
  std::array<char, 1024> buffer;
  while (!head.ends_with("\r\n\r\n")) {
    const ssize_t got = wire.receive(buffer.data(), buffer.size(), 0);
    if (got == 0) throw std::runtime_error("the server closed during the upgrade: " + head);
    if (got < 0) throw_errno("upgrade");
    head.append(buffer.data(), static_cast<std::size_t>(got));
    if (head.size() > 16'384) throw std::runtime_error("the server's head is longer than 16 KiB");
  }
  return head;
}

// Every server must agree to windows of 2^15 bytes (RFC 7692 §7.1.2) without context takeover,
// because the figures must be comparable.
bool agrees_to_offer(std::string_view head) noexcept {
  return head.find(": permessage-deflate;") != std::string_view::npos &&
         head.find("server_no_context_takeover") != std::string_view::npos &&
         head.find("client_no_context_takeover") != std::string_view::npos &&
         head.find("max_window_bits") == std::string_view::npos;
}

}  // namespace

Target Target::parse(const std::string& url, bool deflate) {
  const auto parsed = http::parse_url(url);
  if (!parsed) throw std::runtime_error(url + ": " + parsed.error().message());
  Target target;
  if (parsed->secure) target.tls = std::make_shared<ClientTls>();
  target.deflate = deflate;
  target.address = resolve(parsed->host, parsed->port);
  target.request =
      "GET " + parsed->target + " HTTP/1.1\r\nHost: " + parsed->host_header() +
      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + std::string(key) +
      "\r\nSec-WebSocket-Version: 13\r\n" + (deflate ? std::string(offer) : "") + "\r\n";
  return target;
}

bool is_accepted(std::string_view head) noexcept {
  return head.starts_with("HTTP/1.1 101 ") && head.ends_with("\r\n\r\n") &&
         head.find(accept_value) != std::string_view::npos;
}

net::Fd start_connect(const Target& target, int source, int flags) {
  net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!socket) throw_errno("socket");
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (source != 0) bind_source(socket.get(), source);
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  if (::connect(socket.get(), address, sizeof target.address) != 0 && errno != EINPROGRESS) {
    throw_errno("connect");
  }
  return socket;
}

Wire connect_and_upgrade(const Target& target, int source) {
  net::Fd socket = start_connect(target, source, 0);
  const timeval wait{.tv_sec = wait_seconds, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  Wire wire(std::move(socket), target.tls.get());
  const ssize_t sent = wire.send(std::as_bytes(std::span(target.request)));
  if (sent != static_cast<ssize_t>(target.request.size())) throw_errno("upgrade");
  const std::string head = read_head(wire);
  if (!is_accepted(head)) throw std::runtime_error("refused: " + head.substr(0, head.find('\r')));
  if (target.deflate && !agrees_to_offer(head)) {
    throw std::runtime_error("the server did not agree to the offered compression: " + head);
  }
  const int flags = ::fcntl(wire.socket(), F_GETFL);
  if (::fcntl(wire.socket(), F_SETFL, flags | O_NONBLOCK) != 0) throw_errno("fcntl");
  return wire;
}

int source_of(std::size_t connection) noexcept {
  return static_cast<int>(connection / connections_per_source) + 1;
}

void reset_on_close(int socket) noexcept {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace tern::bench
