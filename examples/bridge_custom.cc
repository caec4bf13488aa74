// A bridge of one's own: two processes share their topics over a pair of Unix sockets. Each one has
// a port, and a client of one chats with the clients of both.
#include "tern/tern.h"

#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

// A packet is a publication: the length of the topic in a byte, the topic, and the payload.
struct PairBridge : tern::Bridge {
  explicit PairBridge(int end) : socket(end) {}

  tern::Result<void> attach(tern::BridgeSink& sink, const tern::BridgeOptions&) override {
    reader = std::thread([this, &sink] { read(sink); });
    return {};
  }
  bool interest(std::string_view, bool) noexcept override { return true; }  // all packets come
  tern::PublishStatus publish(std::string_view topic, const tern::SharedMessage& shared,
                              const tern::Origin&) noexcept override {
    const auto payload = shared.message().bytes();
    auto length = static_cast<unsigned char>(topic.size());
    iovec parts[] = {{&length, 1},
                     {const_cast<char*>(topic.data()), topic.size()},
                     {const_cast<std::byte*>(payload.data()), payload.size()}};
    msghdr packet{};
    packet.msg_iov = parts;
    packet.msg_iovlen = 3;
    const auto sent = ::sendmsg(socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? tern::PublishStatus::full : tern::PublishStatus::queued;
  }
  void read(tern::BridgeSink& sink) {
    sink.state(tern::BridgeState::up, "");
    std::string packet(1 << 20, '\0');
    for (ssize_t size; (size = ::recv(socket, packet.data(), packet.size(), 0)) > 0;) {
      const std::string_view all(packet.data(), static_cast<std::size_t>(size));
      const std::size_t end = 1 + static_cast<unsigned char>(all[0]);
      sink.deliver(all.substr(1, end - 1), all.substr(end), {});
    }
    sink.state(tern::BridgeState::down, "the other process has ended");
  }
  void detach(std::chrono::nanoseconds) noexcept override {
    ::shutdown(socket, SHUT_RDWR);  // ends recv()
    reader.join();
  }

  int socket;
  std::thread reader{};
};

struct Member {
  void on_open(tern::Connection& conn) { conn.subscribe("chat"); }
  void on_message(tern::Connection& conn, tern::Message msg) { conn.publish("chat", msg); }
};

int main() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) return 1;
  const int mine = ::fork() == 0 ? 1 : 0;
  ::close(pair[1 - mine]);
  if (mine == 1) ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // the second process ends with the first one
  tern::Server server({.stop_on = {SIGINT, SIGTERM}});
  server.route<Member>("/chat");
  server.bridge(std::make_unique<PairBridge>(pair[mine]), {.order = tern::Order::local_first});
  if (!server.listen()) return 1;
  std::cout << "ws://localhost:" + std::to_string(server.port()) + "/chat\n" << std::flush;
  return server.run() ? 0 : 1;
}
