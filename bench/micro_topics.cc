// Measures Topic::publish: the CPU time of the publishing thread for one publication of 100 bytes,
// while the argument is the number of workers that have a subscriber. The thread is none of the
// workers. It publishes 64 messages, then waits, not measured, until all subscribers have them. So
// a worker sleeps at the first message and is awake at most of the others, as in a busy server.

#include "tern/server.h"
#include "tern/topics.h"

#include <atomic>
#include <benchmark/benchmark.h>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t message_bytes = 100;
constexpr std::size_t frame_bytes = message_bytes + 2;
constexpr int batch = 64;

struct Subscriber {
  void on_open(tern::Connection& conn) { conn.subscribe("all"); }
  void on_message(tern::Connection&, tern::Message) {}
};

/// Connects and upgrades; returns the socket.
int connect_subscriber(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  constexpr std::string_view request =
      "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::send(socket, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) {
    throw std::runtime_error("cannot connect");
  }
  std::string head;
  for (char c = 0; !head.ends_with("\r\n\r\n") && ::recv(socket, &c, 1, 0) == 1;) head += c;
  if (!head.starts_with("HTTP/1.1 101")) throw std::runtime_error("refused: " + head);
  return socket;
}

/// A server with a subscriber on each of its workers, and a thread that reads for all of them.
class Audience {
 public:
  explicit Audience(unsigned workers)
      : server_({.host = "127.0.0.1",
                 .port = 0,
                 .threads = workers,
                 .timeouts = {.silence = std::chrono::hours(1)}}) {
    server_.route<Subscriber>("/");
    if (!server_.listen()) throw std::runtime_error("cannot listen");
    running_ = std::thread([this] { (void)server_.run(); });
    topic_ = server_.topic("all");
    // The system chooses the worker of a connection.
    std::uint64_t expected = 0;
    for (unsigned reached = 0; reached < workers; expected += sockets_.size()) {
      sockets_.push_back(
          {.fd = connect_subscriber(server_.port()), .events = POLLIN, .revents = 0});
      while (topic_.subscribers() < sockets_.size()) std::this_thread::yield();
      reached = topic_.publish(message_).workers();
    }
    reading_ = std::thread([this] { read(); });
    while (received_ < expected * frame_bytes) std::this_thread::yield();
    received_ = 0;
  }
  ~Audience() {
    ends_ = true;
    server_.stop(std::chrono::seconds(0));
    running_.join();
    reading_.join();
    for (const pollfd& each : sockets_) ::close(each.fd);
  }
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;

  bool publish() const noexcept { return static_cast<bool>(topic_.publish(message_)); }
  void wait_for(std::uint64_t messages) const {
    while (received_ < messages * frame_bytes * sockets_.size()) std::this_thread::yield();
  }

 private:
  std::uint64_t discard_all() {
    std::uint64_t all = 0;
    for (const pollfd& each : sockets_) {
      const ssize_t got = ::recv(each.fd, nullptr, std::size_t{1} << 20, MSG_TRUNC | MSG_DONTWAIT);
      if (got > 0) all += static_cast<std::uint64_t>(got);
    }
    return all;
  }
  void read() {
    while (!ends_) {
      ::poll(sockets_.data(), sockets_.size(), 100);
      received_ += discard_all();
    }
  }

  std::string message_ = std::string(message_bytes, 'x');
  tern::Server server_;
  tern::Topic topic_{};
  std::vector<pollfd> sockets_{};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<bool> ends_{false};
  std::thread running_{};
  std::thread reading_{};
};

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void publish(benchmark::State& state) {
  const Audience audience(static_cast<unsigned>(state.range(0)));
  std::uint64_t published = 0;
  for (auto _ : state) {
    const double begin = thread_seconds();
    for (int i = 0; i < batch; ++i) {
      if (!audience.publish()) state.SkipWithError("a publication was refused");
    }
    state.SetIterationTime((thread_seconds() - begin) / batch);
    published += batch;
    audience.wait_for(published);
  }
}
BENCHMARK(publish)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Iterations(500)->UseManualTime();

// No worker is touched.
void publish_to_nobody(benchmark::State& state) {
  tern::Server server({.host = "127.0.0.1", .port = 0});
  const tern::Topic topic = server.topic("all");
  const std::string message(message_bytes, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(topic.publish(message));
}
BENCHMARK(publish_to_nobody);

void publish_by_name(benchmark::State& state) {
  tern::Server server({.host = "127.0.0.1", .port = 0});
  std::vector<tern::Topic> topics;
  for (int i = 0; i < 100'000; ++i) topics.push_back(server.topic("topic." + std::to_string(i)));
  const std::string message(message_bytes, 'x');
  std::uint32_t random = 1;
  std::string name;
  for (auto _ : state) {
    random = random * 1664525 + 1013904223;
    name = "topic." + std::to_string((random >> 8) % 100'000);
    benchmark::DoNotOptimize(server.publish(name, message));
  }
}
BENCHMARK(publish_by_name);

}  // namespace
