// Echo load from a thread for each connection, with tern::dial and BlockingClient. A program with
// one connection needs no more than these. The messages in flight must fit into the buffers of the
// system and the server, because a thread does not receive while it sends the first of them.
#include "tern/dial.h"

#include "clients/client_program.h"

#include <atomic>
#include <cstdlib>
#include <stop_token>
#include <thread>
#include <vector>

namespace tern::bench {
namespace {

/// Sends and receives until a stop is requested. Throws std::runtime_error on an error.
void echo(const std::stop_token& stop, BlockingClient& client, const ClientOptions& options,
          const Payload& payload, std::atomic<std::uint64_t>& replies) {
  const Message message(MessageType::binary, payload.bytes());
  for (std::size_t i = 0; i < options.depth; ++i) client.send(message).value();
  std::string reply;
  while (!stop.stop_requested()) {
    const MessageType type = client.receive(reply).value();
    payload.check(reply, type == MessageType::binary,
                  replies.fetch_add(1, std::memory_order_relaxed));
    client.send(message).value();
  }
}

void run(const ClientOptions& options) {
  const Payload payload(options);
  std::vector<BlockingClient> clients;
  for (std::size_t i = 0; i < options.connections; ++i) {
    clients.push_back(dial(options.url, {.limits = {.max_message_bytes = options.size}}).value());
  }
  std::atomic<std::uint64_t> replies = 0;
  std::vector<std::jthread> threads;
  for (BlockingClient& client : clients) {
    threads.emplace_back([&](const std::stop_token& stop) {
      try {
        echo(stop, client, options, payload, replies);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "tern_blocking_client: %s\n", error.what());
        std::_Exit(1);  // without one connection the measurement is invalid
      }
    });
  }
  Measurement measurement(options);
  while (!measurement.is_over(replies)) std::this_thread::sleep_for(Measurement::interval);
  for (std::jthread& thread : threads) thread.request_stop();
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "tern_blocking_client", tern::bench::run);
}
