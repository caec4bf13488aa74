// Echo load from one thread: tern::Engine, the protocol without I/O, on a tern::Loop that watches
// this program's sockets. It uses only the public headers.
//
//   Loop: ready ─▶ recv ─▶ Engine::feed ─▶ next ─▶ on_event ─▶ Engine::send ─▶ output ─▶ send
//
// That is a turn: one recv, and one send for all replies that the recv returned. The rest is sent
// when the socket is writable again. The Loop is level-triggered: it reports bytes that a recv has
// left again in its next turn. Each frame is masked with a new key from a generator that cannot be
// predicted (RFC 6455 §5.3).
#include "tern/engine.h"
#include "tern/loop.h"

#include "clients/loop_load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

/// The load, and the objects that its engines share.
struct Load : LoopLoad {
  explicit Load(const ClientOptions& asked) : LoopLoad(asked) {
    const std::size_t in_flight = asked.depth * (asked.size + 14);  // header and key
    engine.limits.max_message_bytes = asked.size;
    engine.limits.max_queued_bytes = std::max(in_flight, engine.limits.max_queued_bytes);
  }

  EngineOptions engine{};
  Workspace workspace{};
  std::vector<std::byte> buffer = std::vector<std::byte>(std::size_t{512} << 10);
};

class Connection {
 public:
  /// Takes a connected, non-blocking socket.
  Connection(Load& load, Engine engine, int socket) : load_(load), engine_(std::move(engine)) {
    watch_ =
        load.loop.watch(socket, Interest::read_write, [this](Ready ready) { turn(ready); }).value();
  }

  /// Handles `ready` and deadlines. `ready` may be empty.
  void turn(Ready ready) {
    engine_.tick(load_.loop.now());
    if (ready.readable) read();
    tell_events();
    write();
    engine_.settle();
  }

  Engine::TimePoint deadline() const noexcept { return engine_.deadline(); }

 private:
  void read() {
    const std::span<std::byte> room = engine_.read_room();  // of a large message
    const std::span<std::byte> buffer(load_.buffer);
    const std::array<iovec, 2> both{{{room.data(), room.size()}, {buffer.data(), buffer.size()}}};
    const ssize_t got = room.empty() ? ::recv(watch_.fd(), buffer.data(), buffer.size(), 0)
                                     : ::readv(watch_.fd(), both.data(), 2);
    if (got > 0) {
      const auto bytes = static_cast<std::size_t>(got);
      const std::size_t in_room = std::min(bytes, room.size());
      engine_.feed(in_room, buffer.first(bytes - in_room));
    } else if (got == 0) {
      engine_.feed_eof();
    } else if (errno != EAGAIN && errno != EINTR) {
      engine_.feed_error({errno, std::system_category()});
    }
  }

  // Writing failed. The server may have sent the reason before.
  void fail(std::error_code error) {
    read();
    tell_events();
    engine_.feed_error(error);
    tell_events();
  }

  void tell_events() {
    while (const Event event = engine_.next()) on_event(event);
  }

  void on_event(const Event& event) {
    switch (event.kind()) {
      case Event::Kind::open:
        for (std::size_t i = 0; i < load_.options.depth; ++i) ask();
        return load_.on_open();
      case Event::Kind::message:
        load_.payload.check(event.message().text(), !event.message().is_text(), load_.replies++);
        return ask();
      case Event::Kind::closed:
        throw std::runtime_error(explain(engine_.close_info()));
      default:
        return;  // the engine has answered pings
    }
  }

  void ask() {
    if (!engine_.send(Message(MessageType::binary, load_.payload.bytes()))) {
      throw std::runtime_error("a message was not taken");
    }
  }

  void write() {
    for (auto pieces = engine_.output(); !pieces.empty(); pieces = engine_.output()) {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg does not write there
      message.msg_iovlen = pieces.size();
      const iovec& first = pieces.front();
      const ssize_t put = pieces.size() == 1
                              ? ::send(watch_.fd(), first.iov_base, first.iov_len, MSG_NOSIGNAL)
                              : ::sendmsg(watch_.fd(), &message, MSG_NOSIGNAL);
      if (put < 0 && errno == EAGAIN) break;
      if (put < 0) return fail({errno, std::system_category()});
      engine_.consume_output(static_cast<std::size_t>(put));
    }
    const bool blocked = engine_.queued_bytes() > 0;
    watch_.set_interest(blocked ? Interest::read_write : Interest::read).value();
  }

  Load& load_;
  Engine engine_;
  Watch watch_{};
};

/// Returns a connected socket that does not block.
int connect_to(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (error != 0) throw std::runtime_error(address.host + ": " + ::gai_strerror(error));
  const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = socket >= 0 && ::connect(socket, found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (!connected) throw_errno("connect");
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(socket, F_SETFL, O_NONBLOCK);
  return socket;
}

void run(const ClientOptions& options) {
  Load load(options);
  const Address address = Address::of(options.url);
  const ClientRequest request{.host = address.host + ":" + address.port, .target = address.target};
  std::deque<Connection> connections;  // a deque does not move its elements
  for (std::size_t i = 0; i < options.connections; ++i) {
    Engine engine = Engine::client(request, load.engine, load.workspace).value();
    connections.emplace_back(load, std::move(engine), connect_to(address));
  }
  // Deadlines of an engine are seconds away, so one timer for all connections is enough.
  load.loop.every(std::chrono::seconds(1), [&] {
    for (Connection& connection : connections) {
      if (connection.deadline() <= load.loop.now()) connection.turn({});
    }
  });
  load.run();
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "tern_client", tern::bench::run);
}
