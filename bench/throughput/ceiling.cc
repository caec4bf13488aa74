// What every echo server on epoll must do, and nothing else: one recv and one send per readable
// event. It answers the upgrade, looks at the first header of a connection to know how long its
// messages are, and from then on only counts bytes: for each message's worth of them it sends one
// ready-made frame of the right size (of zeros: the content is not echoed, nothing is unmasked,
// unless it is told to).
#include "throughput/ceiling.h"

#include "handshake/accept.h"
#include "net/fd.h"
#include "simd/mask.h"
#include "throughput/frames.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <netinet/tcp.h>
#include <optional>
#include <signal.h>
#include <span>
#include <string>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t receive_buffer_bytes = std::size_t{512} << 10;

struct Connection {
  net::Fd socket{};
  std::string head{};  // of the request, until it is complete
  bool upgraded = false;
  std::vector<std::byte> first_header{};  // of the first frame, until it is complete
  std::shared_ptr<const FrameTrain> replies{};
  std::size_t request_frame_bytes = 0;
  std::size_t counted = 0;  // of the request frame in progress
  TrainSender sender{};
  bool wants_out = false;
};

/// The value of Sec-WebSocket-Key in a head as our own load writes it.
std::optional<handshake::AcceptValue> accept_of(const std::string& head) noexcept {
  constexpr std::string_view name = "Sec-WebSocket-Key: ";
  const std::size_t at = head.find(name);
  if (at == std::string::npos) return std::nullopt;
  return handshake::accept_for(std::string_view(head).substr(at + name.size(), 24));
}

class Ceiling {
 public:
  explicit Ceiling(const CeilingOptions& options);
  int run();

 private:
  void control(int operation, int fd, std::uint32_t events, void* data);
  void accept_all();
  void on_ready(Connection& connection, std::uint32_t events);
  bool receive(Connection& connection);
  bool upgrade(Connection& connection, std::span<const std::byte> bytes);
  bool learn(Connection& connection, std::span<const std::byte> bytes);
  void set_size(Connection& connection, const frame::Header& header, std::size_t header_bytes);
  void unmask(const Connection& connection, std::span<std::byte> bytes) noexcept;
  bool flush(Connection& connection);

  CeilingOptions options_;
  net::Fd listener_{};
  net::Fd signals_{};
  net::Fd epoll_{};
  std::vector<std::byte> buffer_ = std::vector<std::byte>(receive_buffer_bytes);
  // One for all connections, as long as they agree on it.
  std::shared_ptr<const FrameTrain> replies_{};
  frame::Header reply_{};  // what replies_ was made for
};

Ceiling::Ceiling(const CeilingOptions& options) : options_(options) {
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTERM);
  ::sigaddset(&stop, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  signals_ = net::Fd(::signalfd(-1, &stop, SFD_CLOEXEC));
  epoll_ = net::Fd(::epoll_create1(EPOLL_CLOEXEC));
  listener_ = net::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!signals_ || !epoll_ || !listener_) throw_errno("ceiling");
  const int on = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(options.port);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw_errno("listen on port " + std::to_string(options.port));
  }
  options_.port = ntohs(address.sin_port);
  control(EPOLL_CTL_ADD, listener_.get(), EPOLLIN, &listener_);
  control(EPOLL_CTL_ADD, signals_.get(), EPOLLIN, &signals_);
}

int Ceiling::run() {
  std::printf("listening on ws://127.0.0.1:%d/echo\n", options_.port);
  std::fflush(stdout);
  std::array<epoll_event, 512> events;
  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   options_.spin ? 0 : -1);
    if (ready < 0 && errno != EINTR) throw_errno("epoll_wait");
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == &signals_) return 0;
      if (event.data.ptr == &listener_) {
        accept_all();
      } else {
        on_ready(*static_cast<Connection*>(event.data.ptr), event.events);
      }
    }
  }
}

void Ceiling::control(int operation, int fd, std::uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) throw_errno("epoll_ctl");
}

void Ceiling::accept_all() {
  for (;;) {
    net::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto connection = std::make_unique<Connection>();
    connection->socket = std::move(socket);
    control(EPOLL_CTL_ADD, connection->socket.get(), EPOLLIN, connection.get());
    connection.release();  // on_ready deletes it
  }
}

void Ceiling::on_ready(Connection& connection, std::uint32_t events) {
  bool alive = true;
  if ((events & EPOLLIN) != 0) alive = receive(connection);
  if (alive && connection.sender.owed() > 0) alive = flush(connection);
  if (!alive || (events & (EPOLLERR | EPOLLHUP)) != 0) delete &connection;
}

// False: the connection is over. As in flush(), upgrade() and learn().
bool Ceiling::receive(Connection& connection) {
  const ssize_t got = ::recv(connection.socket.get(), buffer_.data(), buffer_.size(), 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  const std::span<std::byte> bytes = std::span(buffer_).first(static_cast<std::size_t>(got));
  if (!connection.upgraded) return upgrade(connection, bytes);
  if (connection.request_frame_bytes == 0 && !learn(connection, bytes)) return false;
  if (options_.unmask) unmask(connection, bytes);
  connection.counted += bytes.size();
  if (connection.request_frame_bytes == 0) return true;
  const std::size_t messages = connection.counted / connection.request_frame_bytes;
  connection.counted -= messages * connection.request_frame_bytes;
  connection.sender.owe(messages, *connection.replies);
  return true;
}

// The end of a frame that an earlier read began is unmasked with whatever key came last: that costs
// the same, and nobody looks at it.
void Ceiling::unmask(const Connection& connection, std::span<std::byte> bytes) noexcept {
  frame::Header header{};
  if (connection.counted > 0) header.length = connection.request_frame_bytes - connection.counted;
  for (;;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(header.length, bytes.size()));
    simd::mask(bytes.first(size), header.key);
    bytes = bytes.subspan(size);
    const frame::Decoded decoded = frame::decode_header(bytes, frame::Masking::masked, header);
    if (decoded.size == 0) return;  // all is read, or the header is not here yet
    bytes = bytes.subspan(decoded.size);
  }
}

bool Ceiling::flush(Connection& connection) {
  if (!connection.sender.send(connection.socket.get(), *connection.replies)) return false;
  const bool wants_out = connection.sender.owed() > 0;
  if (wants_out == connection.wants_out) return true;
  connection.wants_out = wants_out;
  control(EPOLL_CTL_MOD, connection.socket.get(), wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN,
          &connection);
  return true;
}

bool Ceiling::upgrade(Connection& connection, std::span<const std::byte> bytes) {
  connection.head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!connection.head.ends_with("\r\n\r\n")) return connection.head.size() < 16'384;
  const auto accept = accept_of(connection.head);
  if (!accept) return false;
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  answer.append(accept->data(), accept->size());
  answer += "\r\n\r\n";
  connection.upgraded = true;
  connection.head = {};
  if (options_.message_size != 0) {
    const frame::Header header{
        .length = options_.message_size, .opcode = frame::Opcode::binary, .fin = true};
    std::array<std::byte, frame::max_header_bytes> encoded;
    set_size(connection, header,
             frame::encode_header(encoded.data(), header, frame::Masking::masked));
  }
  return ::send(connection.socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(answer.size());
}

bool Ceiling::learn(Connection& connection, std::span<const std::byte> bytes) {
  auto& known = connection.first_header;
  const std::size_t more = std::min(bytes.size(), frame::max_header_bytes - known.size());
  known.insert(known.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(more));
  frame::Header header;
  const frame::Decoded decoded = frame::decode_header(known, frame::Masking::masked, header);
  if (decoded.failed() || (decoded.size > 0 && frame::is_control(header.opcode))) return false;
  if (decoded.size > 0) set_size(connection, header, decoded.size);
  return true;
}

void Ceiling::set_size(Connection& connection, const frame::Header& header,
                       std::size_t header_bytes) {
  connection.request_frame_bytes = header_bytes + static_cast<std::size_t>(header.length);
  if (!replies_ || header.length != reply_.length || header.opcode != reply_.opcode) {
    const std::string zeros(static_cast<std::size_t>(header.length), '\0');
    const std::vector frames(1, make_frame(header.opcode, zeros, frame::Masking::unmasked));
    // One recv may bring this many bytes of messages, and the end of one more.
    const std::size_t most = receive_buffer_bytes + frames.front().size();
    replies_ = std::make_shared<const FrameTrain>(frames, most);
    reply_ = header;
  }
  connection.replies = replies_;
}

}  // namespace

int run_ceiling(const CeilingOptions& options) { return Ceiling(options).run(); }

}  // namespace tern::bench
