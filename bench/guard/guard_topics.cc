// Delivers publications to subscribers whose queues are empty. scripts/guard.sh counts the
// instructions of this program. It has one thread, which also reads the subscribers' sockets. It
// publishes again only after all subscribers have received the earlier publications, so the counts
// do not depend on time. The script counts only the slices of the fan-out. A slice reads the clock
// after 16 visits, so there are 16 subscribers.
//
// guard_client.cc explains the lines on standard output. Here a "connection" is one part of the
// program.

#include "tern/server.h"

#include "guard/parts.h"
#include "net/fd.h"
#include "throughput/upgrade.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t subscribers = 16;
constexpr std::size_t message_bytes = 100;
constexpr std::size_t frame_bytes = message_bytes + 2;

constexpr auto parts = parts_of("delivery-100x1", "delivery-100x16", 50, 200);

struct Subscriber {
  void on_open(Connection& conn) { conn.subscribe("t"); }
  void on_message(Connection&, Message) {}
};

// Callgrind starts a new count here, see the variable `topics_boundary` of the script.
[[gnu::noinline]] void begin_count() noexcept { asm volatile(""); }

class Audience {
 public:
  int run() {
    constexpr std::chrono::hours long_enough(1);
    Server server({.host = "127.0.0.1", .port = 0, .timeouts = {.silence = long_enough}});
    server.route<Subscriber>("/");
    server.listen().value();
    topic_ = server.topic("t");
    const Target target = Target::parse("ws://127.0.0.1:" + std::to_string(server.port()) + "/");
    for (std::size_t i = 0; i < subscribers; ++i) {
      sockets_.push_back(start_connect(target, 0, 0));
      const std::string& request = target.request;
      if (::send(sockets_.back().get(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size())) {
        throw std::runtime_error("a request was not sent");
      }
    }
    server.on_worker_start([&](Loop& loop) {
      loop.every(std::chrono::nanoseconds(1), [&] {
        if (!step()) server.stop(std::chrono::nanoseconds(0));
      });
    });
    server.run().value();
    return 0;
  }

 private:
  // Returns whether it goes on.
  bool step() {
    constexpr int turns_of_upgrades = 100;  // after them all heads are read
    const std::size_t received = discard();
    if (topic_.subscribers() < subscribers || ++turns_ < turns_of_upgrades) return true;
    if (turns_ > turns_of_upgrades) received_ += received;
    if (received_ < expected_) return true;
    if (left_ == 0 && !next_part()) return false;
    --left_;
    for (std::size_t i = 0; i < depth_; ++i) topic_.publish(message_);
    expected_ += depth_ * subscribers * frame_bytes;
    return true;
  }
  bool next_part() {
    if (next_ == parts.size()) return false;  // the server is about to stop
    const Part& part = parts[next_++];
    std::printf("%s %ld\n", part.name,
                part.sign * static_cast<long>(part.batches * part.depth * subscribers));
    begin_count();
    left_ = part.batches;
    depth_ = part.depth;
    return left_ > 0;
  }

  std::size_t discard() const {
    std::size_t all = 0;
    for (const net::Fd& socket : sockets_) {
      constexpr std::size_t most = std::size_t{1} << 20;
      const ssize_t got = ::recv(socket.get(), nullptr, most, MSG_TRUNC | MSG_DONTWAIT);
      if (got > 0) all += static_cast<std::size_t>(got);
    }
    return all;
  }

  const std::string message_ = std::string(message_bytes, 'x');
  std::vector<net::Fd> sockets_{};
  Topic topic_{};
  std::size_t next_ = 0;  // of parts
  std::size_t left_ = 0;  // batches
  std::size_t depth_ = 0;
  std::size_t expected_ = 0;  // bytes
  std::size_t received_ = 0;
  int turns_ = 0;
};

}  // namespace
}  // namespace tern::bench

int main() {
  try {
    return tern::bench::Audience().run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "guard_topics: %s\n", error.what());
    return 1;
  }
}
