// The peer of guard_echo_client, for scripts/guard.sh. It sends messages in batches and waits for
// all echoes of a batch before the next one. A batch is one segment of TCP. So a turn of the client
// always reads exactly one batch, and the counts do not depend on time. guard_client.cc explains
// the connections and the lines on standard output; here the URL is the first line.

#include "tern/server.h"

#include "guard/parts.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t message_bytes = 16;

constexpr auto parts = parts_of("client-16x1", "client-16x16", 100, 1'000);

class Session {
 public:
  explicit Session(std::size_t& next) : part_(parts[next++]) {}

  void on_open(Connection& conn) {
    const auto messages = static_cast<long>(part_.batches * part_.depth);
    std::printf("%s %ld\n", part_.name, part_.sign * messages);
    std::fflush(stdout);
    if (part_.batches == 0) {
      conn.send("end");
    } else {
      send_batch(conn);
    }
  }
  void on_message(Connection& conn, Message) {
    if (++echoes_ % part_.depth != 0) return;
    if (echoes_ < part_.batches * part_.depth) {
      send_batch(conn);
    } else {
      conn.send("next");
    }
  }

 private:
  void send_batch(Connection& conn) const {
    static constexpr std::array<char, message_bytes> payload{};
    const std::string_view bytes(payload.data(), payload.size());
    for (std::size_t i = 0; i < part_.depth; ++i) {
      conn.send(Message(MessageType::binary, bytes));
    }
  }

  const Part part_;
  std::size_t echoes_ = 0;
};

int run() {
  constexpr std::chrono::hours long_enough(1);
  Server server({.host = "127.0.0.1",
                 .port = 0,
                 .stop_on = {SIGTERM},
                 .timeouts = {.handshake = long_enough, .silence = long_enough}});
  std::size_t next = 0;
  server.route<Session>("/", std::ref(next));
  if (auto listens = server.listen(); !listens) {
    std::fprintf(stderr, "guard_server: %s\n", listens.error().message().c_str());
    return 1;
  }
  std::printf("ws://127.0.0.1:%d/\n", static_cast<int>(server.port()));
  std::fflush(stdout);
  return server.run() ? 0 : 1;
}

}  // namespace
}  // namespace tern::bench

int main() { return tern::bench::run(); }
